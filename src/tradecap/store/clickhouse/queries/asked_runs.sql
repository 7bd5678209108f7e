SELECT * FROM v_runs ORDER BY toUInt128(run)
