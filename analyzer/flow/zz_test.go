package flow
import ("testing";"io";"os";"time";"fmt";"encoding/json";"sort"
"github.com/spikebox/spikebox/analyzer/packet")
func TestZZ(t *testing.T){
  st:=time.Now()
  s,err:=packet.OpenFiles(os.Getenv("F")); if err!=nil{t.Fatal(err)}
  n:=0
  var sum [2]DirectionRow
  add:=func(a *DirectionRow,b DirectionRow){ a.Packets+=b.Packets;a.Retransmits+=b.Retransmits;a.RetransmitsFast+=b.RetransmitsFast;a.RetransmitsTimeout+=b.RetransmitsTimeout;a.RetransmitsProbe+=b.RetransmitsProbe;a.RetransmitsUnknown+=b.RetransmitsUnknown;a.RetransmitsSpurious+=b.RetransmitsSpurious;a.Ambiguous+=b.Ambiguous;a.Reordered+=b.Reordered;a.CaptureDuplicates+=b.CaptureDuplicates;a.NeverCaptured+=b.NeverCaptured;a.ZeroWindows+=b.ZeroWindows;a.WindowProbes+=b.WindowProbes;a.WindowShrunk+=b.WindowShrunk;a.KeepAlives+=b.KeepAlives;a.DupAcks+=b.DupAcks;a.AckedUnseen+=b.AckedUnseen;a.Segments+=b.Segments;a.WindowFull+=b.WindowFull}
  opt:=Options{}
  if os.Getenv("E")!="" { opt.Events=func(e *Event){ if e.Kind!=EventRTT||os.Getenv("E")=="all" { fmt.Println(e.Frame,e.Flow.Client,e.Side,e.Kind,e.Mechanism,e.Evidence,"never",e.Never,"seq",e.Seq,"len",e.Len,"val",e.Value,"backoff",e.Backoff)} } }
  ends:=map[string]int{}
  tb:=NewTable(func(f *Flow){ r:=f.Row(); add(&sum[0],r.C2S);add(&sum[1],r.S2C); ends[r.End]++; if os.Getenv("J")!="" {b,_:=json.Marshal(r); fmt.Println(string(b))}},opt)
  for { p,err:=s.Next(); if err==io.EOF{break}; n++; tb.Add(p)}
  tb.Flush()
  el:=time.Since(st)
  fmt.Println(n,el,float64(n)/el.Seconds()/1e6,"M/s")
  fmt.Println(tb.Totals(), ends)
  for i:=range sum {b,_:=json.Marshal(sum[i]); fmt.Println(string(b))}
  _=sort.Ints
}
