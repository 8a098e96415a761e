-- Two words that stand side by side more often than chance, scored by normalised pointwise mutual
-- information: ln(p(ab) / (p(a) p(b))) / -ln p(ab), in [-1, 1] (Bouma 2009, eq. 7).
-- `tokens` holds each tweet as a list of codes, `keys` the word of each code.
WITH occurrences AS (
    SELECT unnest(codes) AS code FROM tokens
),
-- What has a letter or a digit: emoji side by side make no phrase.
totals AS (
    SELECT o.code, k.key, count(*) AS n
    FROM occurrences AS o JOIN keys AS k ON k.code = o.code
    WHERE regexp_matches(k.key, '[\p{L}\p{N}]')
    GROUP BY o.code, k.key
),
corpus AS (
    SELECT count(*)::DOUBLE AS n FROM occurrences
),
adjacent AS (
    SELECT author, unnest(codes[1:len(codes) - 1]) AS a, unnest(codes[2:]) AS b
    FROM tokens
    WHERE len(codes) > 1
),
frequent AS (
    SELECT a, b, count(*) AS n
    FROM adjacent
    WHERE a <> b
    GROUP BY a, b
    HAVING count(*) >= $min_count
),
-- Only of what is frequent: counting distinct values is the dear part.
supported AS (
    SELECT a, b, count(DISTINCT author) AS authors
    FROM adjacent SEMI JOIN frequent USING (a, b)
    GROUP BY a, b
    HAVING count(DISTINCT author) >= $min_authors
),
scored AS (
    SELECT
        a,
        b,
        ta.key || ' ' || tb.key AS phrase,
        [ta.key, tb.key] AS words,
        f.n AS count,
        s.authors,
        ln(f.n * corpus.n / (ta.n::DOUBLE * tb.n)) / ln(corpus.n / f.n) AS npmi
    FROM frequent AS f
    JOIN supported AS s USING (a, b)
    JOIN totals AS ta ON ta.code = a
    JOIN totals AS tb ON tb.code = b
    CROSS JOIN corpus
)
SELECT * FROM scored
-- The longest key that the registry takes, in bytes.
WHERE npmi >= $min_npmi AND strlen(phrase) <= 256
ORDER BY phrase
