package generation

// PartitionsPerPublish is how many partitions a slice of a deployment has, and how many go live, or back, at a time where that is
// done in steps: what a transaction swaps it holds locked until it commits.
const PartitionsPerPublish = 8

// PartitionsPerFirstPublish is the bound where no release is active yet, so that nobody has anything to read.
const PartitionsPerFirstPublish = 32
