-- A phrase of two words (`pairs`) and a word beside it, on either side, scored as phrase_pairs.sql does with
-- the phrase in the place of one word; of two readings, "(a b) c" and "a (b c)", the better one counts.
WITH occurrences AS (
    SELECT unnest(codes) AS code FROM tokens
),
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
    SELECT
        author,
        unnest(codes[1:len(codes) - 2]) AS a,
        unnest(codes[2:len(codes) - 1]) AS b,
        unnest(codes[3:]) AS c
    FROM tokens
    WHERE len(codes) > 2
),
beside AS (
    SELECT t.* FROM adjacent AS t SEMI JOIN pairs AS p ON p.a = t.a AND p.b = t.b
    UNION ALL
    SELECT t.* FROM adjacent AS t
    SEMI JOIN pairs AS p ON p.a = t.b AND p.b = t.c
    ANTI JOIN pairs AS q ON q.a = t.a AND q.b = t.b
),
frequent AS (
    SELECT a, b, c, count(*) AS n, count(DISTINCT author) AS authors
    FROM beside
    GROUP BY a, b, c
    HAVING count(*) >= $min_count AND count(DISTINCT author) >= $min_authors
),
readings AS (
    SELECT f.*, p.words || [t.key] AS words, p.count AS pair_n, t.n AS word_n
    FROM frequent AS f
    JOIN pairs AS p ON p.a = f.a AND p.b = f.b
    JOIN totals AS t ON t.code = f.c
    UNION ALL
    SELECT f.*, [t.key] || p.words AS words, p.count AS pair_n, t.n AS word_n
    FROM frequent AS f
    JOIN pairs AS p ON p.a = f.b AND p.b = f.c
    JOIN totals AS t ON t.code = f.a
),
scored AS (
    SELECT
        array_to_string(words, ' ') AS phrase,
        words,
        r.n AS count,
        authors,
        max(ln(r.n * corpus.n / (pair_n::DOUBLE * word_n)) / ln(corpus.n / r.n)) AS npmi
    FROM readings AS r CROSS JOIN corpus
    GROUP BY words, r.n, authors
)
SELECT * FROM scored
WHERE npmi >= $min_npmi AND strlen(phrase) <= 256
ORDER BY phrase
