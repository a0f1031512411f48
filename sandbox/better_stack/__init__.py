"""Better Stack Uptime emulated: monitors that really poll their URL."""
