SELECT DISTINCT channel FROM raw_channels
