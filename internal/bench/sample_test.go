package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestMedianAndPercentileOfASample(t *testing.T) {
	t.Parallel()
	hundred := make(sample, 100)
	for i := range hundred {
		hundred[i] = time.Duration(100 - i)
	}
	for _, c := range []struct {
		name      string
		sample    sample
		median    time.Duration
		p99, p100 time.Duration
	}{
		{name: "one", sample: sample{7}, median: 7, p99: 7, p100: 7},
		{name: "even", sample: sample{4, 1, 3, 2}, median: 2, p99: 4, p100: 4},
		{name: "odd", sample: sample{9, 1, 5}, median: 5, p99: 9, p100: 9},
		{name: "hundred", sample: hundred, median: 50, p99: 99, p100: 100},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, c.median, c.sample.median())
			require.Equal(t, c.p99, c.sample.percentile(99))
			require.Equal(t, c.p100, c.sample.percentile(100))
		})
	}
}

func TestReadsThatMeetAPublish(t *testing.T) {
	t.Parallel()
	reader := []span{{0, 10}, {20, 30}, {40, 60}, {70, 80}, {90, 100}, {110, 130}}
	publishes, quiets := []span{{45, 65}}, []span{{0, 35}, {85, 120}}
	with, without := divide([][]span{reader}, publishes, quiets)
	require.Equal(t, sample{20, 10}, with, "the read under way, and the first one after it")
	require.Equal(t, sample{10, 10, 10}, without, "whole reads of the quiet times")
}
