package spikebox

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// What the recorder may do stands in its unit; the manifest for Kubernetes, the command for podman and SECURITY.md say the same.
func TestOneListOfCapabilities(t *testing.T) {
	unit := unitOf(t)
	want := strings.Fields(unit["AmbientCapabilities"])
	if len(want) < 5 || unit["CapabilityBoundingSet"] != unit["AmbientCapabilities"] {
		t.Fatalf("the unit has ambient capabilities %q and bounds them by %q", want, unit["CapabilityBoundingSet"])
	}
	var inPod []string
	for _, name := range daemonSet(t).Spec.Template.Spec.Containers[0].SecurityContext.Capabilities.Add {
		inPod = append(inPod, "CAP_"+name)
	}
	security, err := os.ReadFile("SECURITY.md")
	if err != nil {
		t.Fatal(err)
	}
	var told []string
	for _, row := range regexp.MustCompile(`(?m)^\| (CAP_[A-Z_, ]+) \|.*$`).FindAllStringSubmatch(string(security), -1) {
		if !strings.Contains(row[0], "the unit leaves it out") {
			told = append(told, strings.Split(row[1], ", ")...)
		}
	}
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	var typed []string // to podman
	for _, m := range regexp.MustCompile(`--cap-add ([A-Z_,]+)`).FindAllSubmatch(readme, -1) {
		for name := range strings.SplitSeq(string(m[1]), ",") {
			typed = append(typed, "CAP_"+name)
		}
	}
	for place, got := range map[string][]string{"contrib/kubernetes": inPod, "SECURITY.md": told, "README.md": typed} {
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("%s has capabilities %q, and the unit %q", place, got, want)
		}
	}
}

// The manifest is what Kubernetes reads, with no key that it does not know, and bounded as the unit is.
func TestDaemonSet(t *testing.T) {
	set := daemonSet(t)
	pod := set.Spec.Template.Spec
	c := pod.Containers[0]
	if !pod.HostNetwork || !pod.HostPID || pod.AutomountServiceAccountToken || len(pod.Containers) != 1 {
		t.Errorf("pod %+v", pod)
	}
	s := c.SecurityContext
	if s.Privileged || s.AllowPrivilegeEscalation || !s.ReadOnlyRootFilesystem || !slices.Equal(s.Capabilities.Drop, []string{"ALL"}) {
		t.Errorf("security context %+v", s)
	}
	if limit := unitOf(t)["MemoryMax"]; c.Resources.Limits["memory"] != limit+"i" {
		t.Errorf("memory %v, and the unit's %s", c.Resources.Limits, limit)
	}
	if stop := unitOf(t)["TimeoutStopSec"]; fmt.Sprintf("%ds", pod.TerminationGracePeriodSeconds) != stop {
		t.Errorf("%d s to end, and the unit's %s", pod.TerminationGracePeriodSeconds, stop)
	}
	for _, m := range c.VolumeMounts {
		if !slices.ContainsFunc(pod.Volumes, func(v volume) bool { return v.Name == m.Name }) {
			t.Errorf("%s is mounted and no volume", m.Name)
		}
	}
	if set.Spec.Selector.MatchLabels["app.kubernetes.io/name"] != set.Spec.Template.Metadata.Labels["app.kubernetes.io/name"] {
		t.Error("the selector finds no pod")
	}
}

// A recorder that does not start again with the new version, or does not end, leaves no package half installed or removed: dpkg
// would refuse to do anything with it until somebody mends that.
func TestPackageScriptsSurviveSystemd(t *testing.T) {
	if _, err := exec.LookPath("unshare"); err != nil || os.Getuid() != 0 {
		t.Skip("needs root and unshare, for a /run of its own")
	}
	tools := t.TempDir()
	for _, tool := range []string{"systemd-sysusers", "systemctl"} {
		text := "#!/bin/sh\necho $0 $@\n[ $1 = daemon-reload ] || [ $1 = spikebox.conf ]\n"
		if err := os.WriteFile(filepath.Join(tools, tool), []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for script, asks := range map[string]string{"postinstall.sh configure": "try-restart spikeboxd.service", "preremove.sh remove": "disable --now spikeboxd.service"} {
		cmd := exec.Command("unshare", "-m", "sh", "-c", "mount -t tmpfs none /run && mkdir -p /run/systemd/system && sh packaging/"+script)
		cmd.Env = append(os.Environ(), "PATH="+tools+":"+os.Getenv("PATH"))
		if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), asks) {
			t.Errorf("%s: %v: %s", script, err, out)
		}
	}
}

// A release is refused with what is wrong: a tree that is not committed, no tag, a changelog of another version.
func TestReleaseIsRefused(t *testing.T) {
	for _, tool := range []string{"bash", "git"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("needs %s", tool)
		}
	}
	script, err := os.ReadFile("packaging/release.sh")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	run := func(name string, args ...string) string {
		cmd := exec.Command(name, args...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null", "GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.org", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example.org")
		out, _ := cmd.CombinedOutput() // what it says is compared
		return string(out)
	}
	write := func(name, text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	release := func() string { return run("bash", "packaging/release.sh", "tree", "tag", "changelog") }
	write("packaging/release.sh", string(script))
	write(".gitignore", "/out/\n")
	write("CHANGELOG.md", "# Changelog\n\n## Unreleased\n")
	run("git", "init", "-q")
	for _, step := range []struct {
		do   func()
		want string
	}{
		{func() {}, "REFUSED tree: "},
		{func() { run("git", "add", "."); run("git", "commit", "-qm", "x") }, "REFUSED tag: "},
		{func() { run("git", "tag", "v1.2") }, "REFUSED tag: "},
		{func() { run("git", "tag", "-d", "v1.2"); run("git", "tag", "v1.2.3") }, `REFUSED changelog: CHANGELOG.md begins with "## Unreleased", and the tag says "## 1.2.3"`},
		{func() {
			write("CHANGELOG.md", "# Changelog\n\n## 1.2.3, 2026-11-30\n")
			run("git", "commit", "-qam", "x")
			run("git", "tag", "-f", "v1.2.3")
		}, "passed changelog"},
	} {
		step.do()
		if got := release(); !strings.Contains(got, step.want) {
			t.Errorf("it says %q, want %q", got, step.want)
		}
	}
	if got := run("bash", "packaging/release.sh", "nonsense"); !strings.HasPrefix(got, "no item nonsense") {
		t.Errorf("it says %q", got)
	}
}

// The versions of packages sort as their commits do, for dpkg, rpm and semver alike: a pre-release is before its release, what follows
// a release is after it, and before the first one goes the commit's time.
func TestVersionsSortAsCommits(t *testing.T) {
	for _, tool := range []string{"bash", "git"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("needs %s", tool)
		}
	}
	script, err := filepath.Abs("packaging/version.sh")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	run := func(hour int, name string, args ...string) string {
		t.Helper()
		cmd := exec.Command(name, args...)
		cmd.Dir = dir
		date := fmt.Sprintf("2026-11-27T%02d:00:00Z", hour)
		cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null", "GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.org",
			"GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example.org", "GIT_COMMITTER_DATE="+date, "GIT_AUTHOR_DATE="+date)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s %q: %v: %s", name, args, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	run(0, "git", "init", "-q")
	var got []string
	for hour, tag := range []string{"", "", "v1.2.3-rc.1", "", "v1.2.3", "", "other", "v1.3.0"} {
		run(hour, "git", "commit", "-q", "--allow-empty", "-m", "x")
		if tag != "" {
			run(hour, "git", "tag", tag)
		}
		commit := run(hour, "git", "rev-parse", "--short", "HEAD")
		_, release, _ := strings.Cut(run(hour, "bash", script), " ")
		got = append(got, strings.ReplaceAll(release, commit, "COMMIT"))
	}
	want := []string{"0.0.0+20261127000000.gCOMMIT", "0.0.0+20261127010000.gCOMMIT", "1.2.3-rc.1", "1.2.3-rc.1+1.gCOMMIT",
		"1.2.3", "1.2.3+1.gCOMMIT", "1.2.3+2.gCOMMIT", "1.3.0"}
	if !slices.Equal(got, want) {
		t.Fatalf("versions %q, want %q", got, want)
	}
	if _, err := exec.LookPath("dpkg"); err != nil {
		t.Skip("needs dpkg, to compare")
	}
	for i := 1; i < len(got); i++ {
		// nfpm writes a pre-release as deb-version(7) has it.
		older, newer := strings.Replace(got[i-1], "-", "~", 1), strings.Replace(got[i], "-", "~", 1)
		if err := exec.Command("dpkg", "--compare-versions", older, "lt", newer).Run(); err != nil {
			t.Errorf("%s is not before %s", older, newer)
		}
	}
}

func unitOf(t *testing.T) map[string]string {
	t.Helper()
	text, err := os.ReadFile("packaging/spikeboxd.service")
	if err != nil {
		t.Fatal(err)
	}
	unit := map[string]string{}
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		if key, value, ok := strings.Cut(lines.Text(), "="); ok && !strings.HasPrefix(key, "#") {
			unit[key] = value
		}
	}
	return unit
}

type volume struct {
	Name     string `yaml:"name"`
	HostPath struct {
		Path string `yaml:"path"`
		Type string `yaml:"type"`
	} `yaml:"hostPath"`
	EmptyDir struct {
		Medium    string `yaml:"medium"`
		SizeLimit string `yaml:"sizeLimit"`
	} `yaml:"emptyDir"`
	ConfigMap struct {
		Name string `yaml:"name"`
	} `yaml:"configMap"`
}

type meta struct {
	Name   string            `yaml:"name"`
	Labels map[string]string `yaml:"labels"`
}

// manifest is what the file uses of apps/v1 DaemonSet: keys that are not here are mistakes.
type manifest struct {
	APIVersion string `yaml:"apiVersion"`
	Kind       string `yaml:"kind"`
	Metadata   meta   `yaml:"metadata"`
	Spec       struct {
		Selector struct {
			MatchLabels map[string]string `yaml:"matchLabels"`
		} `yaml:"selector"`
		UpdateStrategy struct {
			RollingUpdate struct {
				MaxUnavailable int `yaml:"maxUnavailable"`
			} `yaml:"rollingUpdate"`
		} `yaml:"updateStrategy"`
		Template struct {
			Metadata meta `yaml:"metadata"`
			Spec     struct {
				HostNetwork                   bool                `yaml:"hostNetwork"`
				HostPID                       bool                `yaml:"hostPID"`
				AutomountServiceAccountToken  bool                `yaml:"automountServiceAccountToken"`
				EnableServiceLinks            bool                `yaml:"enableServiceLinks"`
				TerminationGracePeriodSeconds int                 `yaml:"terminationGracePeriodSeconds"`
				Tolerations                   []map[string]string `yaml:"tolerations"`
				Containers                    []container         `yaml:"containers"`
				Volumes                       []volume            `yaml:"volumes"`
			} `yaml:"spec"`
		} `yaml:"template"`
	} `yaml:"spec"`
}

type container struct {
	Name  string   `yaml:"name"`
	Image string   `yaml:"image"`
	Args  []string `yaml:"args"`
	Env   []struct {
		Name      string `yaml:"name"`
		ValueFrom struct {
			FieldRef struct {
				FieldPath string `yaml:"fieldPath"`
			} `yaml:"fieldRef"`
		} `yaml:"valueFrom"`
	} `yaml:"env"`
	Ports []struct {
		Name          string `yaml:"name"`
		ContainerPort int    `yaml:"containerPort"`
	} `yaml:"ports"`
	SecurityContext struct {
		RunAsUser                int  `yaml:"runAsUser"`
		Privileged               bool `yaml:"privileged"`
		AllowPrivilegeEscalation bool `yaml:"allowPrivilegeEscalation"`
		ReadOnlyRootFilesystem   bool `yaml:"readOnlyRootFilesystem"`
		Capabilities             struct {
			Add  []string `yaml:"add"`
			Drop []string `yaml:"drop"`
		} `yaml:"capabilities"`
		SeccompProfile struct {
			Type string `yaml:"type"`
		} `yaml:"seccompProfile"`
	} `yaml:"securityContext"`
	Resources struct {
		Requests map[string]string `yaml:"requests"`
		Limits   map[string]string `yaml:"limits"`
	} `yaml:"resources"`
	LivenessProbe struct {
		Exec struct {
			Command []string `yaml:"command"`
		} `yaml:"exec"`
		PeriodSeconds    int `yaml:"periodSeconds"`
		TimeoutSeconds   int `yaml:"timeoutSeconds"`
		FailureThreshold int `yaml:"failureThreshold"`
	} `yaml:"livenessProbe"`
	VolumeMounts []struct {
		Name      string `yaml:"name"`
		MountPath string `yaml:"mountPath"`
		ReadOnly  bool   `yaml:"readOnly"`
	} `yaml:"volumeMounts"`
}

// daemonSet is the one of contrib/kubernetes, behind the ConfigMap that it mounts.
func daemonSet(t *testing.T) (m manifest) {
	t.Helper()
	f, err := os.Open("contrib/kubernetes/spikebox.yaml")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	decoder := yaml.NewDecoder(f)
	var config struct {
		APIVersion string            `yaml:"apiVersion"`
		Kind       string            `yaml:"kind"`
		Metadata   meta              `yaml:"metadata"`
		Data       map[string]string `yaml:"data"`
	}
	decoder.KnownFields(true)
	for _, into := range []any{&config, &m} {
		if err := decoder.Decode(into); err != nil {
			t.Fatal(err)
		}
	}
	if config.Kind != "ConfigMap" || config.Data["spikeboxd.conf"] == "" || m.Kind != "DaemonSet" || m.APIVersion != "apps/v1" || len(m.Spec.Template.Spec.Containers) == 0 {
		t.Fatalf("%+v\n%+v", config, m)
	}
	return m
}
