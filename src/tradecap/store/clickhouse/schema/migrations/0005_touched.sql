-- Hours to sweep after a loader was killed, with the position that covers its rows. Everything else that is new is a reading of lines, which init-db
-- makes again: plain lines are read in the SELECT of each feed (0003_binance.sql).
ALTER TABLE positions ADD COLUMN IF NOT EXISTS touched Array(UInt32)
    COMMENT 'hours since 1970 whose candles may differ from their trades, until the next sweep' AFTER reached;
