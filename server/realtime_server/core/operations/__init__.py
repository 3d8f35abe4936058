"""Operations of clients, independent of protocol: admission, subscribing, publishing, reading, with their rules."""
