SELECT channel, title
FROM raw_channels
