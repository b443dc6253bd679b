SELECT channel, title, commission
FROM raw_channels
