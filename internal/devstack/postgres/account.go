package postgres

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"syscall"
)

// Account is the operating system's user that Postgres runs as: the current one, or, since Postgres refuses to run as
// root, an unprivileged one that root switches to.
type Account struct {
	switched bool
	uid, gid uint32
}

// CurrentAccount returns the account that Postgres runs as when this process starts it.
func CurrentAccount() (Account, error) {
	if os.Geteuid() != 0 {
		return Account{}, nil
	}
	for _, name := range []string{"postgres", "_postgres", "nobody"} {
		found, err := user.Lookup(name)
		if err != nil {
			continue
		}
		// macOS writes nobody as -2, which is the same 32 bits as the number that the kernel takes.
		uid, uidErr := strconv.ParseInt(found.Uid, 10, 64)
		gid, gidErr := strconv.ParseInt(found.Gid, 10, 64)
		if err := errors.Join(uidErr, gidErr); err != nil {
			return Account{}, fmt.Errorf("read the ids of user %s: %w", name, err)
		}
		return Account{switched: true, uid: uint32(uid), gid: uint32(gid)}, nil
	}
	return Account{}, errors.New("postgres cannot run as root and there is no user postgres or nobody: run as an ordinary user")
}

// process makes a command run as the account, in a process group of its own: a Ctrl-C in the terminal is for the stack
// alone, which then stops its parts in order.
func (a Account) process() *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Setpgid: true}
	if a.switched {
		attr.Credential = &syscall.Credential{Uid: a.uid, Gid: a.gid}
	}
	return attr
}

// own gives a file to the account.
func (a Account) own(path string) error {
	if !a.switched {
		return nil
	}
	return os.Chown(path, int(a.uid), int(a.gid))
}

// canEnter asks the kernel: the directory is entered after the switch to the account.
func (a Account) canEnter(dir string) bool {
	cmd := exec.Command("/bin/sh", "-c", ":")
	cmd.Dir = dir
	cmd.SysProcAttr = a.process()
	return cmd.Run() == nil
}

func owner(info fs.FileInfo) uint32 {
	return info.Sys().(*syscall.Stat_t).Uid
}
