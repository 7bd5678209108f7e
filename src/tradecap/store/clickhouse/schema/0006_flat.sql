-- The trades under the flat names of trades.raw and trades.enriched as other projects and `tradecap process` have them
-- (market/enrichment.py; a test holds the two against each other). Times are milliseconds since 1970 UTC, prices are
-- texts, what a record doesn't hold is NULL.

CREATE VIEW IF NOT EXISTS raw_trades
COMMENT 'The trades under flat names: times in ms, prices as texts'
AS
SELECT
    nullIf(toUnixTimestamp64Milli(event_time), 0) AS event_time,
    symbol,
    toString(price) AS price,
    toString(qty) AS qty,
    trade_id,
    is_buyer_maker,
    venue AS source,
    nullIf(intDiv(recv_ns, 1000000), 0) AS ingest_ts
FROM v_trades;

CREATE VIEW IF NOT EXISTS trades_enriched
COMMENT 'The trades as tradecap process enriches them; too_late is of the topic alone'
AS
SELECT
    nullIf(toUnixTimestamp64Milli(t.event_time), 0) AS event_time,
    t.symbol AS symbol,
    toString(t.price) AS price,
    toString(t.qty) AS qty,
    t.trade_id AS trade_id,
    t.is_buyer_maker AS is_buyer_maker,
    t.venue AS source,
    nullIf(intDiv(t.recv_ns, 1000000), 0) AS ingest_ts,
    t.venue AS venue,
    t.channel AS channel,
    toUnixTimestamp64Milli(t.trade_time) AS trade_time,
    -- the longest known quote asset that the symbol ends with, before the date of a future
    extractGroups(t.symbol, '^([^_]+?)(FDUSD|USDT|USDC|BUSD|TUSD|USDP|USD1|EURI|BIDR|IDRT|BTC|ETH|BNB|EUR|TRY|BRL|GBP|AUD|JPY|UAH|RUB|NGN|ZAR|PLN|RON|ARS|MXN|COP|CZK|IDR|DAI|PAX|TRX|XRP|DOT|SOL|USD|VAI|U)(?:_.*)?$')[1] AS base,
    extractGroups(t.symbol, '^([^_]+?)(FDUSD|USDT|USDC|BUSD|TUSD|USDP|USD1|EURI|BIDR|IDRT|BTC|ETH|BNB|EUR|TRY|BRL|GBP|AUD|JPY|UAH|RUB|NGN|ZAR|PLN|RON|ARS|MXN|COP|CZK|IDR|DAI|PAX|TRX|XRP|DOT|SOL|USD|VAI|U)(?:_.*)?$')[2] AS quote,
    toString(toDecimal256(t.price, 8) * toDecimal256(t.qty, 8)) AS notional,
    multiIf(toHour(t.trade_time) < 8, 'Asia', toHour(t.trade_time) < 16, 'Europe', 'US') AS session,
    nullIf(intDiv(t.recv_ns, 1000000), 0) - toUnixTimestamp64Milli(t.trade_time) AS lateness_ms,
    toString(t.run) AS run,
    t.seq AS seq
FROM v_trades AS t;
