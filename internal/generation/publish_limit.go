package generation

// PartitionsPerPublish bounds how many partitions go live in one transaction once the canary is live, and how many go back: what
// it swaps it holds locked until it commits, and eight partitions keep that hold in the milliseconds that readers do not notice.
const PartitionsPerPublish = 8

// PartitionsPerFirstPublish is the bound where no release is active yet, so that nobody has anything to read.
const PartitionsPerFirstPublish = 32
