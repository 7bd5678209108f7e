// The page of `tradecap serve`: one series as a chart, kept current by /live.
//
// Rules: prices and volumes are shown as the strings that the server sent; numbers are made of them only to draw. Text reaches the page by
// textContent alone, because a symbol may hold markup. The token is kept in sessionStorage and sent in a header, never in a URL. A bar replaces
// the one that is shown unless it has fewer trades, so that an event that was sent before an answer can't undo it.

import { CandlestickSeries, HistogramSeries, createChart } from "./lightweight-charts/lightweight-charts.standalone.production.mjs";

const INTERVALS = ["1m", "5m", "15m", "1h", "4h", "1d"];
const PAGE = 1000; // bars in one question
const LARGEST_PAGE = 5000;
const MOST = 20_000; // bars in memory
const WIDEST_BLANK = 120; // a longer one is drawn this many bars wide
const ROWS = 500; // in the table
const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 15_000;
const SILENCE_MS = 40_000; // the server sends a comment every 15 s
const POLL_MS = 2_000;
const HIDDEN_MS = 60_000; // then the connection is given back: a browser opens six to a server
const COLOURS = ["surface", "ink", "muted", "line", "grid", "accent", "up", "down", "up-soft", "down-soft", "missing", "clear"];
const STATES = { loading: "Loading", live: "Live", reconnecting: "Reconnecting", filling: "Catching up", locked: "A token is needed", empty: "No data" };

const $ = (id) => document.getElementById(id);
const show = (id, text) => { if ($(id).textContent !== text) $(id).textContent = text; };
const now = { known: [], series: null, interval: "1m", bars: new Map(), times: [], points: [], blanks: new Map(), changed: new Set(), phase: "loading", behind: "" };
const wake = new EventTarget();
const ink = {};
let chart, candles, volumes, missing;

// ---- asking

class Problem extends Error {
  constructor(status, detail, hint, retryS) {
    super(detail);
    Object.assign(this, { status, hint, retryS });
  }
}

async function ask(path, query, { signal, headers, accepts = [] } = {}) {
  const url = new URL(path, document.baseURI);
  for (const [name, value] of Object.entries(query)) if (value !== "") url.searchParams.set(name, value);
  const token = recall("sessionStorage", "token");
  const sent = token ? { ...headers, Authorization: `Bearer ${token}` } : headers;
  const answer = await fetch(url, { signal, headers: sent, cache: "no-store", credentials: "omit" });
  if (answer.ok || accepts.includes(answer.status)) return answer;
  const problem = await answer.json().catch(() => ({}));
  throw new Problem(answer.status, problem.detail ?? `The server answered ${answer.status}.`, problem.hint ?? "", Number(answer.headers.get("Retry-After")));
}

/** A browser may refuse to store anything: then it is kept until the page is left. */
const kept = new Map();
function remember(storage, name, value) {
  kept.set(name, value);
  try { window[storage].setItem(name, value); } catch { /* it is in kept */ }
}
function recall(storage, name) {
  try { return kept.get(name) ?? window[storage].getItem(name); } catch { return kept.get(name); }
}

const about = (more = {}) => ({ symbol: now.series.symbol, venue: now.series.venue, channel: now.series.channel, ...more });
const question = async (path, query, signal) => {
  const answer = await (await ask(path, query, { signal })).json();
  signal?.throwIfAborted(); // another series may have been chosen meanwhile
  return answer;
};

/** The events of a text/event-stream. */
export async function* events(body, heard) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "", event = { type: "message", data: [] };
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    heard();
    const lines = (rest + value).split("\n");
    rest = lines.pop();
    for (const line of lines.map((each) => each.replace(/\r$/, ""))) {
      const [, name, text] = /^([^:]*):? ?(.*)$/.exec(line);
      if (line === "") {
        if (event.data.length) yield { ...event, data: event.data.join("\n") };
        event = { type: "message", data: [] };
      } else if (name === "data") event.data.push(text);
      else if (name === "event") event.type = text;
      else if (name === "id") event.id = text;
    }
  }
}

/** Resolves after a time, when the page is woken, or when the signal is aborted. */
function sleep(ms, signal) {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      wake.removeEventListener("wake", done);
      signal?.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    wake.addEventListener("wake", done);
    signal?.addEventListener("abort", done);
  });
}

function visible() {
  return document.hidden ? new Promise((resolve) => wake.addEventListener("wake", resolve, { once: true })) : null;
}

// ---- words

const secondsOf = (interval) => Number.parseInt(interval, 10) * { m: 60, h: 3600, d: 86_400 }[interval.at(-1)];
const grouped = (number) => String(number).replace(/\B(?=(\d{3})+$)/g, "\u202f");
const decimals = (text) => (text.split(".")[1] ?? "").length;
const clock = (seconds) => (seconds === undefined ? "" : new Date(seconds * 1000).toISOString().slice(0, 16).replace("T", " "));
const plural = (count, one) => `${grouped(count)} ${one}${count === 1 ? "" : "s"}`;

/** What the coverage says, in words. Proven to id N: every id from the first one to N is held. */
export function proof({ proven, gaps, more }) {
  if (!proven.length) return { id: null, detail: "Nothing is held yet." };
  const [first, last] = proven.at(-1);
  const unbroken = `Unbroken again from ${grouped(first)} to ${grouped(last)}.`;
  if (more) return { id: null, detail: `More than ${grouped(gaps.length)} gaps. ${unbroken}` };
  if (!gaps.length) return { id: last, detail: `Every id from ${grouped(first)} on is held: ${grouped(last - first + 1)} ids, none missing.` };
  const lost = gaps.reduce((sum, [from, to]) => sum + to - from + 1, 0);
  return { id: proven[0][1], detail: `After it ${plural(gaps.length, "gap")}, ${plural(lost, "id")} missing. ${unbroken}` };
}

function markOf(bar) {
  if (bar.complete) return ["whole", "complete"];
  if (bar.time === now.times.at(-1)) return ["newest", "newest, still open"];
  if (bar.time === now.times[0] && now.isOldest) return ["first", "the first bar held, so not complete"];
  return ["missing", "not complete: ids are missing in it or next to it"];
}

const blankText = (gap) => (gap ? `no bar, ids ${grouped(gap[0])} to ${grouped(gap[1])} missing` : "no trades");

function setState(phase = now.phase) {
  now.phase = phase;
  const isBehind = phase === "live" && now.behind;
  const state = isBehind ? "behind" : phase;
  if ($("state").dataset.state !== state) $("state").dataset.state = state;
  show("state-text", isBehind ? "Behind" : STATES[phase]);
  show("state-why", isBehind ? now.behind : "");
  $("state").title = isBehind ? now.behind : "";
}

function notice(text) {
  $("notice").hidden = !text;
  show("notice", text);
}

/** Show one bar, or a blank, in words; without a time the newest bar. */
function read(time = now.times.at(-1)) {
  const bar = now.bars.get(time);
  for (const name of ["open", "high", "low", "close", "volume"]) show(name, bar?.[name] ?? "–");
  show("trades", bar ? grouped(bar.trades) : "–");
  show("time", clock(time) && `${clock(time)} UTC`);
  const [mark, words] = bar ? markOf(bar) : now.blanks.has(time) ? ["missing", blankText(now.blanks.get(time))] : ["", ""];
  $("mark").dataset.mark = mark;
  show("mark", words);
  const rises = bar && Math.sign(Number(bar.close) - Number(bar.open));
  const price = $("close").parentElement;
  if (rises) price.dataset.way = rises > 0 ? "up" : "down";
  else delete price.dataset.way;
  return bar ? `${clock(time)}: open ${bar.open}, high ${bar.high}, low ${bar.low}, close ${bar.close}, volume ${bar.volume}, ${words}` : `${clock(time)}: ${words}`;
}

// ---- drawing

function candle(bar) {
  const colour = Number(bar.close) >= Number(bar.open) ? ink.up : ink.down;
  const isFull = bar.complete || bar.time === now.times.at(-1);
  const [open, high, low, close] = [bar.open, bar.high, bar.low, bar.close].map(Number);
  return { time: bar.time, open, high, low, close, color: isFull ? colour : ink.surface, borderColor: colour, wickColor: colour };
}

const column = (bar) => ({ time: bar.time, value: Number(bar.volume), color: Number(bar.close) >= Number(bar.open) ? ink["up-soft"] : ink["down-soft"] });

/** The times between two bars that have none, at most WIDEST_BLANK of them. */
function* between(from, to, step) {
  const count = (to - from) / step - 1, stride = Math.max(Math.ceil(count / WIDEST_BLANK), 1);
  for (let n = 1; n <= count; n += stride) yield from + n * step;
}

function drawAll() {
  const points = [], columns = [], shades = [];
  now.blanks.clear();
  let before = null;
  for (const bar of now.times.map((time) => now.bars.get(time))) {
    const gap = before && bar.first_id > before.last_id + 1 ? [before.last_id + 1, bar.first_id - 1] : null;
    for (const time of before ? between(before.time, bar.time, now.step) : []) {
      points.push({ time });
      now.blanks.set(time, gap);
      if (gap) shades.push({ time, value: 1 });
    }
    points.push(candle(bar));
    columns.push(column(bar));
    before = bar;
  }
  const precision = Math.max(2, ...now.times.slice(-PAGE).map((time) => decimals(now.bars.get(time).close)));
  candles.applyOptions({ priceFormat: { type: "price", precision, minMove: 10 ** -precision } });
  now.points = points.map(({ time }) => time); // the library gives back bars only
  candles.setData(points);
  volumes.setData(columns);
  missing.setData(shades);
}

function draw() {
  now.frame = 0;
  const newest = now.times.at(-1);
  const isNewest = now.changed.size === 1 && now.changed.has(newest) && now.drawn === newest;
  if (isNewest) {
    candles.update(candle(now.bars.get(newest)));
    volumes.update(column(now.bars.get(newest)));
  } else if (now.changed.size) drawAll();
  if (now.changed.size && now.drawn === undefined) performance.mark("drawn"); // bench/page.py reads it
  now.changed.clear();
  now.drawn = newest;
  document.body.dataset.bars = now.times.length;
  if (newest !== undefined) document.title = `${now.series.symbol} ${now.bars.get(newest).close} · tradecap`;
  read(now.bars.has(now.pointed) || now.blanks.has(now.pointed) ? now.pointed : undefined);
  if (!$("table").hidden) drawTable();
}

function drawSoon() {
  now.frame ||= requestAnimationFrame(draw);
}

function drawTable() {
  const range = chart.timeScale().getVisibleLogicalRange();
  const times = range ? now.points.slice(Math.max(Math.floor(range.from), 0), Math.ceil(range.to) + 1) : [];
  const rows = times.slice(-ROWS).reverse().map((time) => {
    const bar = now.bars.get(time);
    const [mark, words] = bar ? markOf(bar) : ["missing", blankText(now.blanks.get(time))];
    const names = ["open", "high", "low", "close", "volume", "trades", "first_id", "last_id"];
    return { mark, cells: [clock(time), ...names.map((name) => String(bar?.[name] ?? "")), words] };
  });
  const body = $("rows");
  while (body.rows.length > rows.length) body.deleteRow(-1);
  rows.forEach(({ mark, cells }, n) => {
    const row = body.rows[n] ?? body.insertRow();
    row.dataset.mark = mark;
    cells.forEach((text, place) => {
      const cell = row.cells[place] ?? row.insertCell();
      if (cell.textContent !== text) cell.textContent = text;
    });
  });
}

/** The palette of the style sheet, in the scheme that is in force. */
function paint() {
  const probe = document.body.appendChild(document.createElement("span"));
  for (const name of COLOURS) {
    probe.style.color = `var(--${name})`;
    ink[name] = getComputedStyle(probe).color;
  }
  probe.remove();
  chart.applyOptions({
    layout: { background: { color: ink.surface }, textColor: ink.muted },
    grid: { vertLines: { color: ink.grid }, horzLines: { color: ink.grid } },
    rightPriceScale: { borderColor: ink.line },
    timeScale: { borderColor: ink.line },
    crosshair: { vertLine: { color: ink.muted, labelBackgroundColor: ink.ink }, horzLine: { color: ink.muted, labelBackgroundColor: ink.ink } },
  });
  missing.applyOptions({ color: ink.missing });
  // The library's link would name this host to its maker.
  for (const link of $("chart").querySelectorAll("#tv-attr-logo")) Object.assign(link, { href: "https://www.tradingview.com/", rel: "noopener noreferrer" });
  now.times.forEach((time) => now.changed.add(time));
  drawSoon();
}

function build() {
  const hidden = { priceLineVisible: false, lastValueVisible: false };
  chart = createChart($("chart"), {
    autoSize: true,
    layout: { fontFamily: getComputedStyle(document.body).fontFamily, fontSize: 12, attributionLogo: true },
    localization: { timeFormatter: clock },
    rightPriceScale: { scaleMargins: { top: 0.06, bottom: 0.24 } },
    timeScale: { timeVisible: true, secondsVisible: false, rightOffset: 4, barSpacing: 8, minBarSpacing: 1 },
    crosshair: { mode: 0 },
    handleScroll: { vertTouchDrag: false },
  });
  missing = chart.addSeries(HistogramSeries, { ...hidden, priceScaleId: "missing", autoscaleInfoProvider: () => ({ priceRange: { minValue: 0, maxValue: 1 } }) });
  volumes = chart.addSeries(HistogramSeries, { ...hidden, priceScaleId: "volume" });
  candles = chart.addSeries(CandlestickSeries, { priceLineVisible: true });
  missing.priceScale().applyOptions({ scaleMargins: { top: 0, bottom: 0 } });
  volumes.priceScale().applyOptions({ scaleMargins: { top: 0.82, bottom: 0 } });
  chart.subscribeCrosshairMove(({ time }) => { now.pointed = time; drawSoon(); });
  chart.timeScale().subscribeVisibleLogicalRangeChange((range) => {
    if (range && range.from < 30) older(now.following?.signal);
    if (!$("table").hidden) drawSoon();
  });
  $("chart").querySelector("table")?.setAttribute("role", "presentation");
}

// ---- keeping it current

function take(bars) {
  for (const bar of bars) {
    bar.time = Date.parse(bar.open_time) / 1000;
    const shown = now.bars.get(bar.time);
    if (shown && bar.trades < shown.trades) continue;
    if (!shown) now.times.push(bar.time);
    now.bars.set(bar.time, bar);
    now.changed.add(bar.time);
  }
  if (now.times.some((time, n) => n && time < now.times[n - 1])) now.times.sort((a, b) => a - b);
  for (const time of now.times.splice(0, now.times.length - MOST)) now.bars.delete(time);
  drawSoon();
}

/** The newest bars, as many as there were: what was missed, and what has changed in them meanwhile. */
async function load(signal) {
  if (now.times.length) setState("filling");
  const limit = Math.min(Math.max(now.times.length, PAGE), LARGEST_PAGE);
  const page = await question("candles", about({ interval: now.interval, limit }), signal);
  now.bars.clear();
  now.times = [];
  now.step = secondsOf(page.interval);
  now.isOldest = page.candles.length < limit;
  take(page.candles);
  notice("");
  if (now.phase === "filling") setState("live");
}

async function older(signal) {
  const first = now.times[0];
  if (now.isOldest || now.isAsking || first === undefined || now.times.length + PAGE > MOST) return;
  now.isAsking = true;
  try {
    const page = await question("candles", about({ interval: now.interval, limit: PAGE, to: first }), signal);
    if (signal.aborted || now.times[0] !== first) return;
    now.isOldest = page.candles.length < PAGE;
    take(page.candles);
  } catch {
    // the next move of the chart asks again
  } finally {
    now.isAsking = false;
  }
}

async function follow(signal) {
  let position = "", wait = FIRST_WAIT_MS, timer;
  while (!signal.aborted) {
    const line = new AbortController(), either = AbortSignal.any([signal, line.signal]);
    const heard = () => { clearTimeout(timer); timer = setTimeout(() => line.abort(), SILENCE_MS); };
    now.hangUp = () => line.abort();
    now.reload = () => { position = ""; line.abort(); };
    try {
      heard();
      const headers = position ? { "Last-Event-ID": position } : {};
      const answer = await ask("live", about({ interval: now.interval }), { signal: either, headers });
      if (!position) await load(either); // events wait meanwhile, so nothing is missed between the two
      setState("live");
      for await (const event of events(answer.body, heard)) {
        wait = FIRST_WAIT_MS;
        if (event.type === "bar") take([JSON.parse(event.data)]);
        if (event.type === "refetch") await load(either);
        position = event.id ?? position;
      }
    } catch (error) {
      if (!signal.aborted) wait = await failed(error, wait);
      if (!signal.aborted && !now.times.length && error.status !== 401) await load(signal).catch(() => {}); // better than nothing
    }
    clearTimeout(timer);
    if (signal.aborted) return;
    await visible();
    setState(now.times.length ? "reconnecting" : $("notice").hidden ? "loading" : "empty");
    await sleep(wait * (0.75 + Math.random() / 2), signal);
    wait = Math.min(wait * 2, LONGEST_WAIT_MS);
  }
}

/** After a failure: how long to wait. */
async function failed(error, wait) {
  if (error.status === 401) {
    await unlock();
    return FIRST_WAIT_MS;
  }
  if (error.status && !now.times.length) notice([error.message, error.hint].filter(Boolean).join(" "));
  return Math.max(wait, (error.retryS || 0) * 1000);
}

/** Every POLL_MS: to which id it is proven, and whether the page or the server is behind. */
async function watch(signal) {
  let wasReady = true, last = 0;
  for (let round = 0; !signal.aborted; round += 1) {
    try {
      const state = await (await ask("ready", {}, { signal, accepts: [503] })).json();
      const isReady = state.status === "ok";
      const held = await question("coverage", about(), signal);
      const { id, detail } = proof(held);
      show("proven", id === null ? "–" : grouped(id));
      show("proof", detail);
      show("as-of", `newest trade ${held.as_of.slice(0, 19).replace("T", " ")} UTC`);
      now.behind = isReady ? await missed(last, signal) : state.reasons.join(" ");
      last = held.proven.at(-1)?.[1] ?? 0;
      if (isReady && !wasReady) now.reload?.(); // what was loaded meanwhile may have been a part
      wasReady = isReady;
      setState();
      if (round % 8 === 7) await list(signal);
    } catch {
      wasReady &&= now.phase === "live"; // the stream says what is wrong
    }
    await visible();
    await sleep(POLL_MS, signal);
  }
}

/** What the page doesn't show although the server had it at the last look. Ids without a bar don't count. */
async function missed(last, signal) {
  const lag = () => last - (now.bars.get(now.times.at(-1))?.last_id ?? last);
  if (lag() <= 0) return "";
  const { candles: [newest] } = await question("candles", about({ interval: now.interval, limit: 1 }), signal);
  return newest?.last_id >= last && lag() > 0 ? `${plural(lag(), "id")} behind` : "";
}

// ---- choosing

const sameSeries = (one, other) => ["symbol", "venue", "channel"].every((name) => !other[name] || one[name].toLowerCase() === other[name].toLowerCase());

async function list(signal) {
  const { series } = await question("symbols", {}, signal);
  const text = JSON.stringify(series.map((each) => [each.symbol, each.venue, each.channel]));
  if (text === now.listed) return;
  now.listed = text;
  now.known = series;
  const options = series.map((each, n) => new Option(`${each.symbol} · ${each.venue} · ${each.channel}`, n));
  $("series").replaceChildren(...options);
  $("series").disabled = !series.length;
  mark();
}

function mark() {
  $("series").selectedIndex = now.series ? now.known.findIndex((each) => sameSeries(each, now.series)) : -1;
  const intervals = INTERVALS.includes(now.interval) ? INTERVALS : [...INTERVALS, now.interval];
  const labels = intervals.map((interval) => {
    const label = document.createElement("label"), input = document.createElement("input"), text = document.createElement("span");
    Object.assign(input, { type: "radio", name: "interval", value: interval, checked: interval === now.interval });
    text.textContent = interval;
    label.append(input, text);
    return label;
  });
  if ($("intervals").querySelectorAll("label").length !== labels.length) $("intervals").replaceChildren($("intervals").firstElementChild, ...labels);
  for (const input of $("intervals").querySelectorAll("input")) input.checked = input.value === now.interval;
}

function wanted() {
  const hash = new URLSearchParams(location.hash.slice(1));
  const asked = { symbol: hash.get("symbol") ?? "", venue: hash.get("venue") ?? "", channel: hash.get("channel") ?? "" };
  const series = asked.symbol ? (now.known.find((each) => sameSeries(each, asked)) ?? asked) : now.known[0];
  return { series, interval: hash.get("interval") || now.interval };
}

/** Show a series: its address goes into the URL, so that a link to it can be shared. */
function choose(series, interval) {
  now.following?.abort();
  now.following = new AbortController();
  Object.assign(now, { series, interval, times: [], points: [], isOldest: false, behind: "", pointed: undefined, drawn: undefined });
  now.bars.clear();
  now.blanks.clear();
  now.changed.clear();
  for (const each of [candles, volumes, missing]) each.setData([]);
  history.replaceState(null, "", `#${new URLSearchParams(about({ interval }))}`);
  $("chart").setAttribute("aria-label", `Chart of ${series.symbol}, ${interval}`);
  notice("");
  show("proven", "–");
  show("proof", "");
  show("as-of", "");
  mark();
  read();
  setState("loading");
  chart.timeScale().resetTimeScale();
  follow(now.following.signal);
  watch(now.following.signal);
}

/** Ask for the token; resolves when there is one. */
function unlock() {
  setState("locked");
  if (recall("sessionStorage", "token")) {
    show("why", "The server refused this token.");
    $("why").dataset.wrong = "";
  }
  notice("");
  $("ask").hidden = false;
  $("token").focus();
  now.unlocking ??= new Promise((resolve) => {
    $("ask").addEventListener("submit", (event) => {
      event.preventDefault();
      remember("sessionStorage", "token", $("token").value.trim());
      $("token").value = "";
      $("ask").hidden = true;
      now.unlocking = null;
      setState("loading");
      resolve();
    }, { once: true });
  });
  return now.unlocking;
}

function setTheme(theme) {
  document.documentElement.dataset.theme = theme;
  const isDark = theme ? theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  show("theme", isDark ? "Light" : "Dark");
  $("theme").setAttribute("aria-label", `Use ${isDark ? "light" : "dark"} colours`);
  paint();
}

function press(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select, textarea, button, a, summary, #table")) return;
  const scale = chart.timeScale(), range = scale.getVisibleLogicalRange();
  if (!range) return;
  const width = range.to - range.from, pan = (by) => scale.setVisibleLogicalRange({ from: range.from + by, to: range.to + by });
  const zoom = (by) => scale.setVisibleLogicalRange({ from: range.to - Math.max(width * by, 8), to: range.to });
  const keys = {
    ArrowLeft: () => (event.shiftKey ? point(-1) : pan(-width / 10)),
    ArrowRight: () => (event.shiftKey ? point(1) : pan(width / 10)),
    "+": () => zoom(0.8), "=": () => zoom(0.8), "-": () => zoom(1.25), _: () => zoom(1.25),
    Home: () => pan(-range.from),
    End: () => { unpoint(); scale.scrollToRealTime(); },
    Escape: unpoint,
  };
  if (!keys[event.key]) return;
  event.preventDefault();
  keys[event.key]();
}

/** Move the crosshair by bars, and say what is there. */
function point(by) {
  const at = now.points.indexOf(now.pointed);
  const next = now.points[Math.min(Math.max((at < 0 ? now.points.length : at) + by, 0), now.points.length - 1)];
  if (next === undefined) return;
  chart.setCrosshairPosition(Number(now.bars.get(next)?.close ?? 0), next, candles);
  now.pointed = next;
  show("spoken", read(next));
}

function unpoint() {
  chart.clearCrosshairPosition();
  now.pointed = undefined;
  drawSoon();
}

function listen() {
  $("series").addEventListener("change", () => choose(now.known[$("series").value], now.interval));
  $("intervals").addEventListener("change", (event) => choose(now.series, event.target.value));
  $("theme").addEventListener("click", () => {
    const theme = $("theme").textContent.toLowerCase();
    remember("localStorage", "theme", theme);
    setTheme(theme);
  });
  $("as-table").addEventListener("click", () => {
    $("table").hidden = !$("table").hidden;
    $("as-table").setAttribute("aria-pressed", String(!$("table").hidden));
    drawSoon();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => setTheme(recall("localStorage", "theme") ?? ""));
  addEventListener("hashchange", () => choose(...Object.values(wanted())));
  addEventListener("keydown", press);
  addEventListener("online", () => wake.dispatchEvent(new Event("wake")));
  let timer;
  document.addEventListener("visibilitychange", () => {
    clearTimeout(timer);
    if (document.hidden) timer = setTimeout(() => now.hangUp?.(), HIDDEN_MS);
    else wake.dispatchEvent(new Event("wake"));
  });
}

async function start() {
  let listing = list(); // the answer comes while the chart is made
  listing.catch(() => {}); // it is awaited below
  build();
  setTheme(recall("localStorage", "theme") ?? "");
  listen();
  mark();
  for (let wait = FIRST_WAIT_MS; ; wait = Math.min(wait * 2, LONGEST_WAIT_MS)) {
    try {
      setState("loading");
      await (listing ?? list());
      if (now.known.length || wanted().series) return choose(...Object.values(wanted()));
      setState("empty");
      notice("No trades yet. The chart begins with the first one.");
    } catch (error) {
      if (error.status !== 401) setState("reconnecting");
      wait = await failed(error, wait);
    }
    listing = null;
    await sleep(wait);
  }
}

/** What is on the chart, for tests. */
export const drawn = () => ({
  candles: candles.data(), volumes: volumes.data(), missing: missing.data(), blanks: [...now.blanks.keys()], range: chart.timeScale().getVisibleRange(),
});

start();
