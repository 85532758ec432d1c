"""What a confirmation says: trials trained again with other seeds, ranked."""
