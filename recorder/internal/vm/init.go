//go:build linux

package vm

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"

	"golang.org/x/sys/unix"
)

// Init is the first process of a VM, when it is called there, and then does not return:
// it makes the system ready, runs this same binary again with the payload's arguments,
// says how that ended, and turns the VM off. Anywhere else it does nothing.
func Init() {
	if os.Getpid() != 1 {
		return
	}
	text, err := os.ReadFile(scriptPath)
	if err != nil {
		return // the first process of a container, perhaps
	}
	code, err := payload(text)
	if err != nil {
		fmt.Println("run payload:", err)
		code = 125
	}
	fmt.Printf("\n%s%d\n", endMark, code)
	unix.Sync()
	unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
}

// payload mounts what tests look at, loads the modules and runs the binary.
func payload(text []byte) (exitCode int, err error) {
	var s script
	if err := json.Unmarshal(text, &s); err != nil {
		return 0, err
	}
	for _, m := range [][2]string{{"proc", "/proc"}, {"sysfs", "/sys"}, {"devtmpfs", "/dev"},
		{"tmpfs", "/tmp"}, {"tracefs", "/sys/kernel/tracing"}} {
		if err := unix.Mount(m[0], m[1], m[0], 0, ""); err != nil {
			return 0, fmt.Errorf("mount %s: %w", m[1], err)
		}
	}
	for _, name := range s.Modules {
		if err := insert(name); err != nil {
			return 0, err
		}
	}
	cmd := exec.Command("/init", s.Args...)
	cmd.Env = append(s.Env, "PATH=/")
	cmd.Dir = "/tmp"
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stdout
	err = cmd.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return exit.ExitCode(), nil
	}
	return 0, err
}

// insert loads a kernel module.
func insert(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := unix.FinitModule(int(f.Fd()), "", 0); err != nil && err != unix.EEXIST {
		return fmt.Errorf("insert module %s: %w", path, err)
	}
	return nil
}
