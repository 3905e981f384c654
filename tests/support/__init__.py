"""What tests share: labs on this machine, and a peer that says what it likes."""
