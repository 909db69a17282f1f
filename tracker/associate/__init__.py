"""Online association of instances over time: Kalman prediction, assignment, life cycle, re-identification."""
