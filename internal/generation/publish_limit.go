package generation

// PartitionsPerPublish is how many partitions a slice of a deployment has, and how many go live, or back, at a time where that is
// done in steps: what a transaction swaps it holds locked until it commits.
const PartitionsPerPublish = 8
