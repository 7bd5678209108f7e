SELECT * FROM v_gaps ORDER BY venue, symbol, channel, first_missing
