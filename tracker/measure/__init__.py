"""Results and truth enter, figures leave: benchmark runs, tracking metrics, speed of the association."""
