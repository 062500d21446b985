"""What a device can do and what it did: doctor, plan, bench, compare and gate."""
