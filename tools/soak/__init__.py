"""A service under load for minutes while its replicas and its Redis are killed."""
