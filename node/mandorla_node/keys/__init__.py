"""The secrets of a home, and where the key comes from that seals them."""
