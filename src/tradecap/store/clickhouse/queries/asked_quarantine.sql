SELECT run, seq, reason, field, fault, venue, symbol, channel, recv_ns, raw FROM quarantine FINAL
    ORDER BY toUInt128(run), seq
