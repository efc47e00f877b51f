// What the report does beside being read: one cursor and one zoom for all rows, findings that light up their
// seconds, tables that sort and filter, filters that copy. Without it nothing is missing but that.
'use strict';
(() => {
  const SVG = 'http://www.w3.org/2000/svg';
  const $ = (sel, from = document) => Array.from(from.querySelectorAll(sel));
  document.documentElement.classList.add('js');
  const data = JSON.parse(document.getElementById('data').textContent);
  const whole = [0, data.end]; // ms since the window's begin
  let view = whole.slice(), at = null;

  const clock = (ms, fine) => new Date(data.start + ms).toISOString().slice(11, fine ? 23 : 19);
  const digits = v => Math.abs(v) >= 1000 ? Math.round(v).toLocaleString('en-US') : String(+v.toPrecision(3));
  const say = (v, unit) => {
    if (v === null || v === undefined) return 'not read';
    if (unit === 's') return v >= 1 ? digits(v) + ' s' : v >= 1e-3 ? digits(v * 1e3) + ' ms' : digits(v * 1e6) + ' µs';
    if (unit === 'ratio') return digits(v * 100) + ' %';
    if (unit === 'B' || unit === 'B/s') {
      const n = v >= 2 ** 30 ? [2 ** 30, ' GiB'] : v >= 2 ** 20 ? [2 ** 20, ' MiB'] : v >= 1024 ? [1024, ' KiB'] : [1, ' B'];
      return digits(v / n[0]) + n[1] + unit.slice(1);
    }
    return digits(v) + (unit === '1' ? '' : unit === '1/s' ? '/s' : ' ' + unit);
  };
  // The value of a line at a time: of a counter the reading that ends there, otherwise the nearest.
  const value = (line, ms) => {
    let lo = 0, hi = line.t.length;
    while (lo < hi) { const mid = (lo + hi) >> 1; line.t[mid] < ms ? lo = mid + 1 : hi = mid; }
    if (!line.step && lo > 0 && (lo === line.t.length || ms - line.t[lo - 1] < line.t[lo] - ms)) lo--;
    return lo < line.t.length ? line.v[lo] : null;
  };
  const axes = $('svg[data-whole]').map(svg => ({
    svg, left: +svg.dataset.left, right: +svg.dataset.right, top: +svg.dataset.top, bottom: +svg.dataset.bottom,
    x(ms) { return this.left + (this.right - this.left) * (ms - view[0]) / (view[1] - view[0]); },
  }));
  const make = (name, attributes, into) => {
    const e = document.createElementNS(SVG, name);
    for (const k in attributes) e.setAttribute(k, attributes[k]);
    into.appendChild(e);
    return e;
  };
  const steps = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 2e4, 3e4, 6e4, 12e4, 3e5, 6e5, 12e5, 18e5, 36e5];
  const ticks = () => {
    const step = steps.find(s => (view[1] - view[0]) / s <= 9) || 36e5, all = [];
    for (let t = Math.ceil((data.start + view[0]) / step) * step - data.start; t <= view[1]; t += step) all.push(t);
    return [all, step < 1000];
  };
  const slider = document.getElementById('cursor'), time = document.getElementById('time'), span = document.getElementById('span');
  const strip = document.querySelector('svg[data-left]:not([data-whole])');

  function draw() {
    const k = (whole[1] - whole[0]) / (view[1] - view[0]), [all, fine] = ticks(), half = fine ? 34 : 24; // of a tick's text; beside the first stands UTC
    for (const a of axes) {
      const move = a.left * (1 - k) - (a.right - a.left) * k * (view[0] / whole[1]);
      for (const g of $('g.data', a.svg)) g.setAttribute('transform', `translate(${move} 0) scale(${k} 1)`);
      for (const g of $('g.grid,g.ticks', a.svg)) g.replaceChildren();
      const grid = a.svg.querySelector('g.grid'), label = a.svg.querySelector('g.ticks');
      for (const t of all) {
        const x = a.x(t);
        if (grid) make('path', {d: `M${x} ${a.top}V${a.bottom}`, class: 's-grid', stroke: '#e1e4e8'}, grid);
        if (label) make('text', {x: Math.min(Math.max(x, a.left + half - 20), a.right - half), y: a.bottom + 14, 'font-size': 11, 'text-anchor': 'middle', class: 'f-dim', fill: '#57606a'}, label).textContent = clock(t, fine);
      }
    }
    span.textContent = view[0] === whole[0] && view[1] === whole[1] ? 'whole window' : `${clock(view[0], true)} – ${clock(view[1], true)}`;
    slider.min = view[0]; slider.max = view[1]; slider.step = Math.max(1, (view[1] - view[0]) / 1000);
    if (strip) {
      $('.range', strip).forEach(e => e.remove());
      if (k > 1) {
        const l = +strip.dataset.left, w = +strip.dataset.right - l;
        make('rect', {class: 'range', x: l + w * view[0] / whole[1], width: w / k, y: 0, height: +strip.dataset.bottom}, strip);
      }
    }
    cursor(at);
  }
  function cursor(ms) {
    at = ms;
    for (const a of axes) {
      let line = a.svg.querySelector('.cursor');
      if (ms === null || ms < view[0] || ms > view[1]) { if (line) line.remove(); continue; }
      if (!line) line = make('line', {class: 'cursor', y1: a.top, y2: a.bottom}, a.svg);
      line.setAttribute('x1', a.x(ms)); line.setAttribute('x2', a.x(ms));
    }
    time.textContent = ms === null ? '' : clock(ms, true);
    if (ms !== null) { slider.value = ms; slider.setAttribute('aria-valuetext', clock(ms, true) + ' UTC'); }
    data.rows.forEach((row, i) => {
      const out = document.getElementById('at-' + i);
      if (out) out.textContent = ms === null ? '' : row.lines.map(l => l.name + ' ' + say(value(l, ms), row.unit)).join(' · ');
    });
  }
  function zoom(from, to) {
    const least = Math.min(whole[1], 20);
    if (to - from < least) { const mid = (from + to) / 2; from = mid - least / 2; to = mid + least / 2; }
    if (to - from >= whole[1]) { from = 0; to = whole[1]; }
    if (from < 0) { to -= from; from = 0; }
    if (to > whole[1]) { from -= to - whole[1]; to = whole[1]; }
    view = [Math.max(0, from), to];
    draw();
  }
  const around = factor => {
    const mid = at !== null && at >= view[0] && at <= view[1] ? at : (view[0] + view[1]) / 2, w = (view[1] - view[0]) * factor;
    zoom(mid - w / 2, mid + w / 2);
  };
  const acts = {in: () => around(.5), out: () => around(2), all: () => zoom(0, whole[1]),
    left: () => zoom(view[0] - (view[1] - view[0]) / 4, view[1] - (view[1] - view[0]) / 4),
    right: () => zoom(view[0] + (view[1] - view[0]) / 4, view[1] + (view[1] - view[0]) / 4),
    open: () => $('details.row').forEach(d => { d.open = true; })};
  $('button[data-act]').forEach(b => b.addEventListener('click', acts[b.dataset.act]));
  slider.addEventListener('input', () => cursor(+slider.value));
  for (const a of axes) {
    const ms = e => {
      const box = a.svg.getBoundingClientRect(), x = (e.clientX - box.left) * (a.svg.viewBox.baseVal.width / box.width);
      return view[0] + (view[1] - view[0]) * Math.min(1, Math.max(0, (x - a.left) / (a.right - a.left)));
    };
    let from = null;
    a.svg.addEventListener('pointermove', e => cursor(ms(e)));
    a.svg.addEventListener('pointerdown', e => { if (e.button === 0) from = ms(e); });
    a.svg.addEventListener('pointerup', e => {
      const to = ms(e);
      if (from !== null && Math.abs(to - from) > (view[1] - view[0]) / 100) zoom(Math.min(from, to), Math.max(from, to));
      from = null;
    });
    a.svg.addEventListener('dblclick', () => zoom(0, whole[1]));
  }
  // Findings and their bands.
  const light = (n, on) => $(`.band.b${n},.finding[data-finding="${n}"]`).forEach(e => e.classList.toggle('lit', on));
  $('[data-finding]').forEach(e => {
    const n = e.dataset.finding;
    for (const [name, on] of [['mouseenter', true], ['mouseleave', false], ['focusin', true], ['focusout', false]]) e.addEventListener(name, () => light(n, on));
  });
  $('button[data-from]').forEach(b => b.addEventListener('click', () => {
    const from = +b.dataset.from, to = +b.dataset.to, room = Math.max(500, (to - from) / 4);
    zoom(from - room, to + room);
    document.getElementById('rows').scrollIntoView();
  }));
  // Copying.
  $('button[data-copy]').forEach(b => b.addEventListener('click', async () => {
    const code = b.parentElement.querySelector('code'), range = document.createRange();
    try { await navigator.clipboard.writeText(code.textContent); b.textContent = 'Copied'; } catch {
      range.selectNodeContents(code); getSelection().removeAllRanges(); getSelection().addRange(range); b.textContent = 'Selected';
    }
  }));
  // Tables.
  $('table.sortable').forEach(table => {
    const body = table.tBodies[0], rows = Array.from(body.rows);
    $('th button', table).forEach((b, i) => b.addEventListener('click', () => {
      const th = b.parentElement, down = th.classList.contains('n') ? th.getAttribute('aria-sort') !== 'descending' : th.getAttribute('aria-sort') === 'ascending';
      $('th', table).forEach(x => x.removeAttribute('aria-sort'));
      th.setAttribute('aria-sort', down ? 'descending' : 'ascending');
      const key = th.classList.contains('n') ? r => +r.cells[i].dataset.v : r => r.cells[i].textContent;
      rows.sort((x, y) => { const p = key(x), q = key(y), c = typeof p === 'number' ? p - q : p.localeCompare(q); return down ? -c : c; });
      body.append(...rows);
    }));
    const input = document.getElementById('filter-' + table.id), left = document.getElementById('left-' + table.id);
    if (input) input.addEventListener('input', () => {
      const want = input.value.toLowerCase();
      let n = 0;
      rows.forEach(r => { const has = r.textContent.toLowerCase().includes(want); r.hidden = !has; n += has; });
      left.textContent = `${n} of ${rows.length}`;
    });
  });
  // What is wider than a screen begins at the trigger, and rows that share an axis are moved together.
  const wide = axes.map(a => a.svg.parentElement);
  // The scale of a row stays in sight.
  axes.forEach(a => a.svg.parentElement.addEventListener('scroll', e => {
    for (const scale of $('g.scale', a.svg)) scale.setAttribute('transform', `translate(${e.target.scrollLeft * 960 / e.target.scrollWidth} 0)`);
  }));
  wide.forEach(e => e.addEventListener('scroll', () => wide.forEach(o => { if (o !== e && Math.abs(o.scrollLeft - e.scrollLeft) > 1) o.scrollLeft = e.scrollLeft; })));
  const begin = e => {
    const mark = e.querySelector('path.s-trigger') || e.querySelector('.band path');
    if (!mark || e.scrollWidth <= e.clientWidth + 1) return;
    // As little as shows the trigger with what came next: names and scales stand at the left.
    const k = e.scrollWidth / 960, x = +mark.getAttribute('d').slice(1).split(/[ ,HVL]/)[0] * k;
    const names = e.firstElementChild === strip ? $('text', strip).map(n => n.getBBox().x * k) : [0];
    e.scrollLeft = Math.max(x - e.clientWidth * .75, Math.min(...names, x - e.clientWidth / 2) - 8);
  };
  wide.concat(strip ? [strip.parentElement] : []).forEach(begin);
  $('details.row').forEach(d => d.addEventListener('toggle', () => $('.scroll', d).forEach(e => {
    const other = wide.find(o => o !== e && o.closest('details.row[open]') && o.clientWidth);
    if (other) e.scrollLeft = other.scrollLeft; else begin(e);
  })));
  draw();
})();
