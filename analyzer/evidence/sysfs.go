package evidence

import (
	"io"
	"path"
	"strings"

	"github.com/spikebox/spikebox/format/member"
)

// sysfsFolder holds what sysfs tells of interfaces.
const sysfsFolder = member.StaticFolder + "sys/class/net/"

// readSysfs keeps the settings of queues that checks ask for, by their path below the root:
// sys/class/net/eth0/queues/rx-0/rps_cpus. A host of a thousand interfaces has 40,000 files there.
func (e *Evidence) readSysfs(name string, r io.Reader) error {
	if base := path.Base(name); base != "rps_cpus" && base != "tx_queue_len" {
		return nil
	}
	return e.keepSetting(strings.TrimPrefix(name, member.StaticFolder), r)
}
