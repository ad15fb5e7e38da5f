"""Ray and HAProxy on this machine."""
