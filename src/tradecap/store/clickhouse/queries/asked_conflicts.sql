SELECT * FROM v_conflicts ORDER BY venue, symbol, channel, trade_id, toUInt128(run), seq
