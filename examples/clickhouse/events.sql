CREATE TABLE IF NOT EXISTS events
(
    id String,
    type String,
    data String,
    timestamp UInt64
)
ENGINE = ReplacingMergeTree
ORDER BY id
