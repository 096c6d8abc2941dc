"use strict";
(() => {
  const PAGE = 100;
  const [NAME, PAGE_FILE, STATUS, AQS, P5, LEVEL, DETECTED, SEVERITIES,
    WIDTH, HEIGHT, CODEC, DURATION, SIZE, DELTA, REASON, ENCODE, RATIO] = Array(17).keys();
  const data = JSON.parse(document.getElementById("data").textContent);
  const element = (id) => document.getElementById(id);
  const table = element("table"), body = table.tBodies[0];
  const find = element("find"), level = element("level"), artifact = element("artifact");
  const change = element("change"), failed = element("failed");
  const hasEncodes = data.rows.some((row) => row[ENCODE]);
  const statusOf = (row) => data.statuses[row[STATUS]];
  // One form of letters with marks: macOS writes an "é" in names as two characters, nobody types it so.
  const plain = (words) => words.normalize("NFC").toLowerCase();
  const text = data.rows.map((row) => plain(`${row[NAME]}\n${data.codecs[row[CODEC]]}`));
  const order = new Intl.Collator(undefined, {numeric: true, sensitivity: "base"});
  // Names are ranked once, and not before someone asks: collating 10,000 of them is felt.
  let ranks = null;
  function rank(i) {
    ranks ??= new Map(data.rows.map((row, j) => j)
      .sort((a, b) => order.compare(data.rows[a][NAME], data.rows[b][NAME]))
      .map((j, place) => [j, place]));
    return ranks.get(i);
  }
  const bits = (mask) => { let n = 0; for (; mask; mask &= mask - 1) n++; return n; };
  const keys = {
    file: (row, i) => rank(i),
    aqs: (row, i) => (row[AQS] === null ? null : i),  // they come by AQS, and show it rounded
    level: (row) => (row[LEVEL] < 0 ? null : -row[LEVEL]),
    p5: (row) => row[P5],
    detected: (row) => (row[LEVEL] < 0 ? null : bits(row[DETECTED])),
    severity: (row) => (row[SEVERITIES].length ? Math.max(...row[SEVERITIES]) : null),
    change: (row) => row[DELTA],
    resolution: (row) => row[WIDTH] * row[HEIGHT] || null,
    codec: (row) => data.codecs[row[CODEC]] || null,
    duration: (row) => row[DURATION] || null,
    size: (row) => row[SIZE] || null,
    encode: (row) => row[RATIO],
  };
  const state = {sort: "aqs", up: true, page: 0};
  let shown = [];

  const score = (value) => (value === null ? "–" : value.toFixed(2));
  const signed = (value) => (value === null ? "" :  // below 0.01 it counts as the same
    Math.abs(value) < 0.01 ? "0.00" : (value < 0 ? "" : "+") + value.toFixed(2));
  const two = (value) => String(value).padStart(2, "0");
  function videoTime(seconds) {
    if (!seconds) return "";
    if (seconds < 60) return `0:${two(Math.floor(seconds))}` +
      (Math.floor(seconds * 10) % 10 ? `.${Math.floor(seconds * 10) % 10}` : "");
    const all = Math.floor(seconds), h = Math.floor(all / 3600), m = Math.floor(all / 60) % 60;
    return h ? `${h}:${two(m)}:${two(all % 60)}` : `${m}:${two(all % 60)}`;
  }
  function size(bytes) {
    const units = ["B", "kB", "MB", "GB", "TB", "PB"];
    let power = 0;
    for (; bytes >= 999.5 && power < 5; power++) bytes /= 1000;
    return bytes ? `${bytes.toFixed(power && bytes < 9.95 ? 1 : 0)} ${units[power]}` : "";
  }

  function make(tag, kind, words) {
    const node = document.createElement(tag);
    if (kind) node.className = kind;
    if (words !== undefined) node.textContent = words;
    return node;
  }
  function chip(row) {
    const isFailed = statusOf(row) === "failed";
    const node = make("span", "chip");
    node.append(make("i", "swatch " + (row[LEVEL] < 0 ? "failed" : `l${row[LEVEL]}`)));
    node.append(row[LEVEL] < 0 ? (isFailed ? "Failed" : "–") : data.levels[row[LEVEL]]);
    return node;
  }
  function bars(severities) {
    const svg = element("spark").content.firstElementChild.cloneNode(true);
    const words = severities.map((value, i) => [value, data.artifacts[i]])
      .sort((a, b) => b[0] - a[0]).slice(0, 3)
      .map(([value, name]) => `${name} ${(value / 100).toFixed(2)}`).join(", ");
    svg.setAttribute("viewBox", `0 0 ${severities.length * 6} 18`);
    svg.setAttribute("aria-label", words);
    svg.firstElementChild.setAttribute("d", severities.map((value, i) => {
      const height = Math.max(1, Math.round(value * 0.18));
      return `M${i * 6} 18v-${height}h4v${height}z`;
    }).join(""));
    return svg;
  }
  function cell(kind, content) {
    const node = make("td", kind);
    if (content) node.append(content);
    return node;
  }
  function findings(row) {
    if (statusOf(row) === "failed") {  // why takes the room of all that is not known of it
      const why = cell("muted why", row[REASON]);
      why.colSpan = 3;
      return [why];
    }
    return [
      cell("words", data.artifacts.filter((name, i) => row[DETECTED] >> i & 1).join(", ")),
      cell("", row[SEVERITIES].length ? bars(row[SEVERITIES]) : ""),
      cell("num", signed(row[DELTA])),
    ];
  }
  function draw(row) {
    const line = make("tr"), link = make("a", "", row[NAME]);
    link.href = `videos/${row[PAGE_FILE]}`;
    line.append(
      cell("path", link),
      cell("num", make("b", "", score(row[AQS]))),
      cell("", chip(row)),
      cell("num", score(row[P5])),
      ...findings(row),
      cell("num", row[WIDTH] ? `${row[WIDTH]}×${row[HEIGHT]}` : ""),
      cell("", data.codecs[row[CODEC]]),
      cell("num", videoTime(row[DURATION])),
      cell("num", size(row[SIZE])),
    );
    if (hasEncodes) line.append(cell("words", row[ENCODE]));
    return line;
  }

  function isChange(row, wanted) {
    const status = statusOf(row), delta = row[DELTA];
    if (wanted === "worse") return delta !== null && delta <= -0.01;
    if (wanted === "improved") return delta !== null && delta >= 0.01;
    if (wanted === "new") return status === "scored" && delta === null;
    // An earlier content that was put back is known, and yet a change.
    return status === "unchanged" && Math.abs(delta) < 0.01;
  }
  function select() {
    const words = plain(find.value).split(/\s+/).filter(Boolean);
    const wantedLevel = level.value ? data.levels.indexOf(level.value) : null;
    const wantedArtifact = artifact.value ? Number(artifact.value) : null;
    const chosen = [];
    data.rows.forEach((row, i) => {
      if (wantedLevel !== null && row[LEVEL] !== wantedLevel) return;
      if (wantedArtifact !== null && !(row[DETECTED] >> wantedArtifact & 1)) return;
      if (failed.checked && statusOf(row) !== "failed" && row[ENCODE] !== "failed") return;
      if (change.value && !isChange(row, change.value)) return;
      if (words.every((word) => text[i].includes(word))) chosen.push(i);
    });
    const key = keys[state.sort], sign = state.up ? 1 : -1;
    const value = new Map(chosen.map((i) => [i, key(data.rows[i], i)]));
    chosen.sort((a, b) => {
      const x = value.get(a), y = value.get(b);
      if (x === y) return a - b;  // as they came: by AQS, then by name
      if (x === null) return 1;  // a file without the value stays last, either way
      if (y === null) return -1;
      return (x < y ? -1 : 1) * sign;
    });
    shown = chosen;
  }
  function show() {
    const pages = Math.max(1, Math.ceil(shown.length / PAGE));
    state.page = Math.min(Math.max(0, state.page), pages - 1);
    const start = state.page * PAGE, part = shown.slice(start, start + PAGE);
    const lines = part.map((i) => draw(data.rows[i]));
    if (!lines.length) {
      const none = make("tr", "none"), only = make("td", "",
        data.rows.length ? "No file matches these filters." : "This run had no files.");
      only.colSpan = table.tHead.rows[0].cells.length;
      none.append(only);
      lines.push(none);
    }
    body.replaceChildren(...lines);
    const of = shown.length === data.rows.length ? "" :
      ` (of ${data.rows.length.toLocaleString("en")})`;
    element("shown").textContent = shown.length ?
      `${(start + 1).toLocaleString("en")}–${(start + part.length).toLocaleString("en")} of ` +
      `${shown.length.toLocaleString("en")} ${shown.length === 1 ? "file" : "files"}${of}` : `0 files${of}`;
    element("previous").disabled = state.page === 0;
    element("next").disabled = state.page >= pages - 1;
    for (const head of table.tHead.rows[0].cells) {
      if (head.dataset.key === state.sort) {
        head.setAttribute("aria-sort", state.up ? "ascending" : "descending");
      } else head.removeAttribute("aria-sort");
    }
  }

  // The view lives in the address, so that Back from a video's page returns to it.
  function remember() {
    const view = new URLSearchParams();
    if (find.value) view.set("find", find.value);
    for (const box of [level, artifact, change]) if (box.value) view.set(box.id, box.value);
    if (failed.checked) view.set("failed", "1");
    if (state.sort !== "aqs" || !state.up) view.set("sort", (state.up ? "" : "-") + state.sort);
    if (state.page) view.set("page", state.page + 1);
    try {
      history.replaceState(null, "", view.toString() ? `#${view}` : location.pathname);
    } catch { /* some browsers forbid this for files; then Back starts afresh */ }
  }
  function recall() {
    const view = new URLSearchParams(location.hash.slice(1));
    find.value = view.get("find") || "";
    for (const box of [level, artifact, change]) {
      box.value = view.get(box.id) || "";
      if (box.selectedIndex < 0) box.value = "";
    }
    failed.checked = view.has("failed");
    const sort = view.get("sort") || "aqs", key = sort.replace(/^-/, "");
    state.sort = Object.hasOwn(keys, key) ? key : "aqs";
    state.up = !sort.startsWith("-");
    state.page = (parseInt(view.get("page"), 10) || 1) - 1;
  }
  function update(page) {
    state.page = page;
    select();
    show();
    remember();
  }

  for (const head of table.tHead.rows[0].cells) {
    const button = make("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      // Scores rise from the worst; sizes and counts are asked for from the largest.
      const down = ["detected", "severity", "resolution", "duration", "size"];
      const key = head.dataset.key;
      state.up = key === state.sort ? !state.up : !down.includes(key);
      state.sort = key;
      update(0);
    });
  }
  data.artifacts.forEach((name, i) => artifact.append(new Option(name, i)));
  let pause = 0;
  find.addEventListener("input", () => {
    clearTimeout(pause);
    pause = setTimeout(() => update(0), 80);
  });
  for (const box of [level, artifact, change, failed]) {
    box.addEventListener("change", () => update(0));
  }
  element("reset").addEventListener("click", () => {
    find.value = level.value = artifact.value = change.value = "";
    failed.checked = false;
    update(0);
  });
  function turn(by, pressed, other) {
    update(state.page + by);
    // A button that can do no more loses the focus: who goes by keyboard was sent to the top.
    if (element(pressed).disabled) element(other).focus({preventScroll: true});
    element("files").scrollIntoView({block: "start"});
  }
  element("previous").addEventListener("click", () => turn(-1, "previous", "next"));
  element("next").addEventListener("click", () => turn(1, "next", "previous"));
  window.addEventListener("hashchange", () => { recall(); select(); show(); });
  recall();
  select();
  show();
  element("controls").hidden = element("pager").hidden = false;
})();
