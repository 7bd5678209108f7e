SELECT * FROM v_quality ORDER BY venue, symbol, channel, hour
