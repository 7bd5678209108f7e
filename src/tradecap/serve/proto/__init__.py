"""The gRPC interface: tradecap/market/v1/market.proto, and the code that `make proto` makes of it."""
