"""What observers look at: the live stream; pages, reports and exports will follow."""
