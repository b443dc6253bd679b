package notify

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"drawbridge/internal/notice"
)

// hooks post to webhooks.
type hooks struct{ client *http.Client }

func newHooks() hooks {
	return hooks{client: &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

// Body is what a webhook gets: the event, and a text that chats show.
type Body struct {
	Text string `json:"text"`
	notice.Event
}

const (
	theWebhook = "the webhook"
	// answerRead bounds what is read of an answer: it is not looked at.
	answerRead = 64 << 10
)

func (h hooks) post(ctx context.Context, to string, e notice.Event) error {
	if parsed, err := url.Parse(to); err != nil || parsed.Host == "" || parsed.Scheme != "https" && parsed.Scheme != "http" {
		return misconfigured(theWebhook, "put a URL that begins with https:// behind the policy's reference", "what the reference refers to is no URL of a webhook")
	}
	body, err := json.Marshal(Body{Text: e.Slack(), Event: e})
	if err != nil {
		return fmt.Errorf("encode event: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to, bytes.NewReader(body))
	if err != nil { // it may repeat the URL
		return misconfigured(theWebhook, "put a URL that begins with https:// behind the policy's reference", "no request can be made of what the reference refers to")
	}
	req.Header.Set("Content-Type", "application/json; charset=utf-8")
	req.Header.Set("User-Agent", "drawbridge")
	req.Header.Set("Drawbridge-Event", e.ID)
	resp, err := h.client.Do(req)
	if err != nil {
		return unsent(theWebhook, err)
	}
	defer func() { _ = resp.Body.Close() }()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, answerRead))
	if resp.StatusCode/100 != 2 {
		return errors.New(theWebhook + ": it answered " + fmt.Sprint(resp.StatusCode))
	}
	return nil
}
