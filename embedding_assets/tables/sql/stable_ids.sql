-- Each key with its stable id: the first 60 bits of its md5, so that weeks counted apart share it and it
-- fits a signed BIGINT.
SELECT code, key, CAST('0x' || left(md5(key), 15) AS BIGINT) AS id
FROM keys
ORDER BY code
