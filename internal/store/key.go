package store

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/secure-systems-lab/go-securesystemslib/dsse"

	"drawbridge/internal/fault"
)

const (
	pemPrivate = "PRIVATE KEY"
	pemPublic  = "PUBLIC KEY"
)

// Signer signs statements with an ed25519 key.
type Signer struct {
	key ed25519.PrivateKey
}

// LoadOrCreateKey returns the signer of a key file, and makes key and file where there is none. Of several
// processes that do so at once, one makes the key and all use it.
func LoadOrCreateKey(path string) (Signer, error) {
	signer, err := LoadKey(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return signer, err
	}
	if err := createKey(path); err != nil && !errors.Is(err, fs.ErrExist) {
		return Signer{}, keyFault("create signing key", path, err)
	}
	return LoadKey(path)
}

// LoadKey returns the signer of a key file: ed25519, PKCS #8, PEM. A file that everybody can read is refused.
func LoadKey(path string) (Signer, error) {
	info, err := os.Stat(path)
	if err != nil {
		return Signer{}, keyFault("read signing key", path, err)
	}
	// A group may read: that is how secrets are mounted into containers that do not run as root.
	if info.Mode().Perm()&0o007 != 0 {
		return Signer{}, fault.Newf(fault.Refused, "read signing key", path, "chmod 600 "+path, "everybody on this machine can use it")
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return Signer{}, keyFault("read signing key", path, err)
	}
	block, _ := pem.Decode(data)
	if block == nil || block.Type != pemPrivate {
		return Signer{}, keyFault("read signing key", path, errors.New("it holds no private key in PEM"))
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	key, ok := parsed.(ed25519.PrivateKey)
	if err != nil || !ok {
		return Signer{}, keyFault("read signing key", path, errors.New("it holds no ed25519 key"))
	}
	return Signer{key: key}, nil
}

// createKey links the finished file into place, which fails where another process was faster.
func createKey(path string) error {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	temporary, err := writeTemporary(dir, pem.EncodeToMemory(&pem.Block{Type: pemPrivate, Bytes: der}), 0o600)
	if err != nil {
		return err
	}
	defer os.Remove(temporary)
	if err := os.Link(temporary, path); err != nil {
		return err
	}
	return syncDir(dir)
}

func keyFault(op, path string, err error) error {
	return fault.New(fault.Invalid, op, path,
		"give the user of this process an ed25519 key there: openssl genpkey -algorithm ed25519 -out "+path, err)
}

// KeyID is the SHA-256 of the public key, as `openssl pkey -pubout -outform DER | sha256sum` prints it.
func (s Signer) KeyID() (string, error) { return keyID(s.public()) }

// Sign signs data.
func (s Signer) Sign(_ context.Context, data []byte) ([]byte, error) {
	return ed25519.Sign(s.key, data), nil
}

// PublicKey returns the key that verifies, in PEM, as ParseTrusted reads it.
func (s Signer) PublicKey() ([]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(s.public())
	if err != nil {
		return nil, fmt.Errorf("encode public key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: pemPublic, Bytes: der}), nil
}

func (s Signer) public() ed25519.PublicKey {
	return ed25519.PublicKey(s.key[ed25519.PrivateKeySize-ed25519.PublicKeySize:])
}

// Verifier verifies statements against the keys that are trusted. The zero Verifier trusts none.
type Verifier struct {
	keys []dsse.Verifier
}

// Trust returns a verifier of the statements of the given signers.
func Trust(signers ...Signer) Verifier {
	var v Verifier
	for _, s := range signers {
		v.keys = append(v.keys, publicKey{s.public()})
	}
	return v
}

// ParseTrusted reads any number of ed25519 public keys in PEM, one after the other.
func ParseTrusted(data []byte) (Verifier, error) {
	var v Verifier
	for {
		block, rest := pem.Decode(data)
		if block == nil {
			break
		}
		parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
		key, ok := parsed.(ed25519.PublicKey)
		if err != nil || !ok {
			return Verifier{}, fault.Newf(fault.Invalid, "read trusted keys", "", "list public keys only: openssl pkey -pubout -in KEY",
				fmt.Sprintf("block %d is no ed25519 public key", len(v.keys)+1))
		}
		v.keys = append(v.keys, publicKey{key})
		data = rest
	}
	if len(v.keys) == 0 {
		return Verifier{}, fault.Newf(fault.Invalid, "read trusted keys", "", "list public keys in PEM: openssl pkey -pubout -in KEY", "there is none")
	}
	return v, nil
}

// verify returns the key that signed an envelope and what is inside it.
func (v Verifier) verify(ctx context.Context, envelope *dsse.Envelope) (keyID string, body []byte, err error) {
	if len(v.keys) == 0 {
		return "", nil, errors.New("no key is trusted")
	}
	verifier, err := dsse.NewEnvelopeVerifier(v.keys...)
	if err != nil {
		return "", nil, fmt.Errorf("prepare verification: %w", err)
	}
	accepted, body, err := verifier.VerifyAndDecode(ctx, envelope)
	if err != nil {
		return "", nil, errors.New("no trusted key signed it as it is")
	}
	return accepted[0].KeyID, body, nil
}

// publicKey is a trusted key, in the form that dsse takes.
type publicKey struct {
	key ed25519.PublicKey
}

func (k publicKey) KeyID() (string, error)   { return keyID(k.key) }
func (k publicKey) Public() crypto.PublicKey { return k.key }

func (k publicKey) Verify(_ context.Context, data, sig []byte) error {
	if !ed25519.Verify(k.key, data, sig) {
		return errors.New("the signature does not match")
	}
	return nil
}

func keyID(key ed25519.PublicKey) (string, error) {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return "", fmt.Errorf("encode public key: %w", err)
	}
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:]), nil
}
