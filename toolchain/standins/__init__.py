"""Stand-ins for two Pulumi plugins, for a machine that cannot download the real ones."""
