"""What a client can do, whatever protocol it speaks: come in, subscribe, publish, read. The rules are here."""
