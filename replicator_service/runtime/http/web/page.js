// Asks the service every second and shows what it says. Every text reaches the page through textContent alone.

import { Chart } from "./charts.js";
import * as words from "./words.js";

const EVERY_MS = 1_000;
const PATIENCE_MS = 4_000;
const FILTER_FROM = 15;
const FINDINGS_SHOWN = 12;

const by = (id) => document.getElementById(id);

/** Changes a text only where it differs: a reader of the screen hears changes, nothing else. */
function write(element, text, title) {
  if (element.textContent !== text) element.textContent = text;
  if (title !== undefined && element.title !== title) element.title = title;
}

function make(name, className, ...children) {
  const made = document.createElement(name);
  if (className) made.className = className;
  made.append(...children);
  return made;
}

/** A command that a person may copy. */
function command(text = "") {
  const button = make("button", "copy", "copy");
  button.type = "button";
  return make("div", "command", make("code", "", text), button);
}

/** Where the page is not from this machine the clipboard may be closed to it: then the command is selected at least. */
async function copy(button) {
  const code = button.parentElement.firstElementChild;
  let told = "copied";
  try {
    await navigator.clipboard.writeText(code.textContent);
  } catch {
    getSelection().selectAllChildren(code);
    told = document.execCommand("copy") ? "copied" : "selected";
  }
  write(button, told);
  setTimeout(() => write(button, "copy"), 1_500);
}

document.addEventListener("click", (event) => {
  if (event.target.matches?.("button.copy")) copy(event.target);
});
for (const code of document.querySelectorAll(".commands code")) {
  const made = command(code.textContent);
  made.firstElementChild.id = code.id;
  code.replaceWith(made);
}

/** The runbook of a notice, by what it is about: the name of its alert. */
const RUNBOOKS = {
  waiting: "replicatorwaiting",
  error: "replicatorresyncrequired",
  mongodb: "replicatorserverunreachable",
  postgresql: "replicatorserverunreachable",
  "no leader": "replicatornoleader",
  failure: "replicatorfailed",
  headroom: "replicatorheadroomshort",
  lag: "replicatorlagging",
  paused: "replicatorpaused",
  differences: "replicatordifferences",
  reconciliation: "replicatorreconciliationstale",
  "dead letters": "replicatordeadletters",
  schema: "replicatormisfits",
  marts: "replicatormartstale",
};

function link(element, url) {
  element.hidden = !url;
  if (url && element.getAttribute("href") !== url) element.href = url;
}

/** Keeps one element an item, by its key and in the order of the items; `make` makes and `update` fills it. */
class Rows {
  constructor(parent, makeOne, update) {
    this.parent = parent;
    this.makeOne = makeOne;
    this.update = update;
    this.known = new Map();
  }

  show(items, keyOf) {
    const wanted = new Map(items.map((item) => [keyOf(item), item]));
    for (const [key, element] of this.known) {
      if (!wanted.has(key)) {
        element.remove();
        this.known.delete(key);
      }
    }
    let next = this.parent.firstElementChild;
    for (const [key, item] of wanted) {
      let element = this.known.get(key);
      if (!element) {
        element = this.makeOne(item);
        this.known.set(key, element);
      }
      this.update(element, item);
      if (element === next) next = next.nextElementSibling;
      else this.parent.insertBefore(element, next);
    }
  }
}

/** A number with a smaller unit behind it. */
function figure(element, [number, unit], tone = "") {
  if (element.dataset.shown === `${number} ${unit}` && element.dataset.tone === tone) return;
  element.dataset.shown = `${number} ${unit}`;
  element.dataset.tone = tone;
  element.replaceChildren(number, ...(unit ? [make("small", "", ` ${unit}`)] : []));
}

/** Facts as term and value: [term, text, title]. */
function facts(list, found) {
  let index = 0;
  for (const [term, text, title = ""] of found) {
    let row = list.children[index];
    if (!row) {
      row = make("div", "", make("dt"), make("dd"));
      list.append(row);
    }
    write(row.firstElementChild, term);
    write(row.lastElementChild, text, title);
    index += 1;
  }
  while (list.children.length > index) list.lastElementChild.remove();
}

// ---- the parts of the page -------------------------------------------------------------------------------------

function showState(status) {
  const name = words.capital(status.state.replaceAll("_", " "));
  write(by("stream"), status.stream);
  write(by("state"), name);
  by("state").dataset.state = status.state;
  by("pulse").dataset.state = status.state;
  write(by("meaning"), meaningOf(status));
  document.title = `${status.notices.some((each) => each.severity === "critical") ? "⚠ " : ""}${name} · ${status.stream}`;
}

function meaningOf(status) {
  if (status.state !== "standby" || !status.leader) return status.meaning;
  const where = status.leader.address ? ` at ${status.leader.address}` : "";
  return `${status.meaning} The leader is session ${status.leader.pid}${where}, connected ${words.ago(status.leader.since, now)}.`;
}

const noticeRows = new Rows(
  by("notices"),
  () => make("li", "", make("p", "message"), make("p", "hint", make("span"), " ", make("a", "", "runbook")), command()),
  (element, notice) => {
    const [message, hint, shown] = element.children;
    element.dataset.severity = notice.severity;
    write(message, notice.message);
    write(hint.firstElementChild, notice.hint);
    const where = latest?.links.runbooks;
    link(hint.lastElementChild, where && RUNBOOKS[notice.subject] ? `${where}#${RUNBOOKS[notice.subject]}` : "");
    write(shown.firstElementChild, notice.command ?? "");
    shown.hidden = !notice.command;
  },
);

function showFigures(status) {
  const lag = status.lag_seconds;
  figure(by("lag"), lag === null ? ["unknown", ""] : lag < 1 ? ["< 1", "s"] : words.duration(lag), toneOf(status, "lag"));
  const rates = Object.values(status.collections).map((each) => each.events_per_second);
  figure(by("rate"), [words.rate(rates.reduce((sum, each) => sum + each, 0)), "/s"]);
  const left = status.oplog_headroom_seconds;
  figure(by("headroom"), left === null ? ["unknown", ""] : left < 0 ? ["lost", ""] : words.duration(left), toneOf(status, "headroom"));
  write(by("headroom-note"), headroomNote(status));
  figure(by("letters"), [words.count(status.dead_letters), ""], status.dead_letters ? "warning" : "");
  const last = status.last_reconciliation;
  const isPartial = last && last.compared < last.collections;
  const among = isPartial ? `in ${words.count(last.compared)} of ${words.count(last.collections)}` : "";
  figure(by("differences"), [last ? words.count(last.outstanding) : words.UNKNOWN, among], last?.outstanding ? toneOf(status, "differences") : "");
  write(by("differences-note"), last ? `${isPartial ? "collections, " : ""}compared ${words.ago(last.at, now)}` : "not compared yet");
}

function headroomNote(status) {
  if (status.oplog_headroom_seconds === null) return "MongoDB does not tell: see replicator check";
  if (status.oplog_headroom_seconds < 0) return "changes were discarded: a resync is needed";
  if (status.oplog_is_whole) return "the oplog is young: nothing was discarded yet";
  return "how long an outage may last";
}

function toneOf(status, subject) {
  return status.notices.find((each) => each.subject === subject)?.severity ?? "";
}

// ---- collections -----------------------------------------------------------------------------------------------

const COLUMNS = [
  { key: "name", title: "Collection", of: (each) => each.name.toLowerCase() },
  { key: "state", title: "State", of: (each) => `${each.state} ${(each.snapshot_progress ?? 0).toFixed(3)}` },
  { key: "rows", title: "Rows, about", of: (each) => each.rows, isNumber: true },
  { key: "rate", title: "Changes/s", of: (each) => each.events_per_second, isNumber: true },
  { key: "change", title: "Last change", of: (each) => (each.last_change ? Date.parse(each.last_change) : 0), isNumber: true },
  { key: "letters", title: "Dead letters", of: (each) => each.dead_letters, isNumber: true },
];
const order = { key: "name", isDown: false };
let latest = null;
let now = Date.now();

const heads = COLUMNS.map((column) => {
  const button = make("button", "", column.title);
  button.type = "button";
  const head = make("th", column.isNumber ? "number" : "", button);
  head.scope = "col";
  head.setAttribute("role", "columnheader");
  button.addEventListener("click", () => {
    order.isDown = order.key === column.key ? !order.isDown : Boolean(column.isNumber);
    order.key = column.key;
    showCollections(latest);
  });
  by("collection-head").append(head);
  return head;
});

const collectionRows = new Rows(
  by("collection-rows"),
  () => {
    const row = make("tr");
    row.setAttribute("role", "row");
    const bar = make("span", "bar", make("span"));
    bar.setAttribute("role", "progressbar");
    bar.setAttribute("aria-valuemin", "0");
    bar.setAttribute("aria-valuemax", "100");
    const cells = COLUMNS.map((column) => {
      const cell = make(column.key === "name" ? "th" : "td", column.isNumber ? `number ${column.key}` : column.key);
      cell.setAttribute("role", column.key === "name" ? "rowheader" : "cell");
      cell.dataset.title = column.title;
      return cell;
    });
    cells[0].scope = "row";
    cells[0].append(make("span", "collection"), " ", make("span", "table"));
    cells[1].append(make("span", "word"), bar);
    row.append(...cells);
    return row;
  },
  (row, each) => {
    const [name, state, rows, rate, change, letters] = row.cells;
    write(name.firstElementChild, each.name);
    write(name.lastElementChild, [each.table, ...each.children].join(", "), each.children.length ? "the collection's table, and those of its arrays" : "");
    const [word, bar] = state.children;
    const isReading = each.state === "snapshotting";
    row.dataset.state = each.state;
    const made = indexesOf(each, each.indexes);
    const why = each.indexes.find((index) => index.collection === each.name && index.state === "failed");
    const reading = isReading ? readingOf(each) : "";
    write(word, isReading ? progressOf(each) : made || each.state.replaceAll("_", " "), each.error ? each.error.message : why ? why.error : reading);
    bar.hidden = !isReading || !each.snapshot_documents;
    const percent = Math.floor((each.snapshot_progress ?? 0) * 100);
    bar.setAttribute("aria-valuenow", String(percent));
    bar.setAttribute("aria-label", `Snapshot of ${each.name}`);
    bar.firstElementChild.style.width = `${percent}%`;
    write(rows, words.count(each.rows));
    write(rate, words.rate(each.events_per_second));
    write(change, words.ago(each.last_change, now), each.last_change ? words.exact(each.last_change) : "none since this instance began");
    write(letters, words.count(each.dead_letters));
    letters.dataset.tone = each.dead_letters ? "warning" : "";
    rate.dataset.tone = each.events_per_second ? "" : "quiet";
  },
);

function progressOf(each) {
  if (each.snapshot_progress === null) return "reading";
  const left = each.snapshot_seconds_left;
  if (!each.snapshot_documents) return "waits for its turn";
  const share = words.share(each.snapshot_progress);
  return left === null ? `reading, ${share}` : `${share}, ${words.spelled(left)} left`;
}

/** How a collection is read, in numbers: for whoever points at it. */
function readingOf(each) {
  const told = [];
  if (each.snapshot_documents_per_second) told.push(`${words.count(each.snapshot_documents_per_second)} documents/s`);
  if (each.snapshot_bytes_per_second) told.push(`${(each.snapshot_bytes_per_second / 1e6).toFixed(1)} MB/s`);
  if (each.snapshot_ranges > 1) told.push(`${each.snapshot_ranges_left} of ${each.snapshot_ranges} ranges left`);
  return told.join(", ");
}

/** Indexes of a collection's tables that are still to be made. */
function indexesOf(each, indexes) {
  const missing = indexes.filter((index) => index.collection === each.name);
  if (!missing.length || each.state !== "streaming") return "";
  const failed = missing.find((index) => index.state === "failed");
  if (failed) return "an index failed";
  return missing.some((index) => index.state === "building") ? "making indexes" : "indexes to make";
}

function showCollections(status) {
  if (!status) return;
  const all = Object.entries(status.collections).map(([name, each]) => ({ name, indexes: status.indexes ?? [], children: Object.hasOwn(status.child_tables, name) ? status.child_tables[name] : [], ...each }));
  const wanted = by("filter").value.trim().toLowerCase();
  const column = COLUMNS.find((each) => each.key === order.key);
  const shown = all.filter((each) => `${each.name} ${each.table} ${each.children.join(" ")} ${each.state}`.toLowerCase().includes(wanted));
  shown.sort((one, other) => compare(column.of(one), column.of(other)) * (order.isDown ? -1 : 1) || compare(one.name, other.name));
  heads.forEach((head, index) => {
    const sorting = COLUMNS[index].key === order.key ? (order.isDown ? "descending" : "ascending") : "none";
    if (head.getAttribute("aria-sort") !== sorting) head.setAttribute("aria-sort", sorting);
  });
  collectionRows.show(shown, (each) => each.name);
  write(by("collection-count"), wanted ? `${shown.length} of ${all.length}` : String(all.length));
  by("filter-label").hidden = all.length <= FILTER_FROM && !wanted;
  by("collection-head").parentElement.hidden = shown.length === 0;
  by("collections-empty").hidden = shown.length > 0;
  write(by("collections-empty"), all.length ? "No collection has this in its name." : "None yet.");
  const without = Object.entries(status.unsupported_collections).map(([name, kind]) => `${name} (${kind})`);
  by("unsupported").hidden = without.length === 0;
  write(by("unsupported"), `MongoDB has no changes to offer for these, so they are not replicated: ${without.join(", ")}.`);
}

function compare(one, other) {
  return one < other ? -1 : one > other ? 1 : 0;
}

// ---- dead letters, reconciliation, marts, instance ---------------------------------------------------------------

const reasonRows = new Rows(
  by("reasons"),
  () => make("li", "", make("span", "many"), make("p", "", make("b"), " ", make("span", "reason")), make("span", "when")),
  (element, each) => {
    const [many, told, when] = element.children;
    write(many, words.count(each.count));
    write(told.firstElementChild, each.collection);
    write(told.lastElementChild, each.reason);
    write(when, words.ago(each.latest, now), words.exact(each.latest));
  },
);

function showLetters(status) {
  reasonRows.show(status.dead_letter_reasons, (each) => JSON.stringify([each.collection, each.reason]));
  by("letters-commands").hidden = status.dead_letters === 0;
  const told = status.dead_letter_reasons.reduce((sum, each) => sum + each.count, 0);
  const rest = status.dead_letters - told;
  by("letters-empty").hidden = status.dead_letters > 0 && rest <= 0;
  write(by("letters-empty"), status.dead_letters ? `${words.noun(rest, "letter", "letters")} more.` : "None: PostgreSQL took every document.");
}

const FINDINGS = {
  misfit: "does not fit its column",
  gone: "in no document any more",
  new_field: "in no column",
};

const findingRows = new Rows(
  by("schema"),
  () => make("li", "", make("span", "many"), make("p", "", make("b"), " ", make("span", "reason")), make("span", "when")),
  (element, each) => {
    const [many, told, when] = element.children;
    write(many, words.count(each.count));
    write(told.firstElementChild, `${each.collection} ${each.path}`);
    write(told.lastElementChild, FINDINGS[each.kind] ?? each.kind);
    write(when, words.ago(each.last_seen, now), `first ${words.exact(each.first_seen)}, last ${words.exact(each.last_seen)}`);
  },
);

function showSchema(status) {
  const shown = status.schema_findings.slice(0, FINDINGS_SHOWN);
  findingRows.show(shown, (each) => JSON.stringify([each.collection, each.path, each.kind]));
  const all = Object.values(status.schema_finding_paths).reduce((sum, each) => sum + each, 0);
  by("schema-commands").hidden = all === 0;
  by("schema-empty").hidden = all > 0 && all <= shown.length;
  write(by("schema-empty"), all ? `${words.noun(all - shown.length, "field", "fields")} more.` : "Every field has a column, and every value fits.");
}

const outstandingRows = new Rows(
  by("outstanding"),
  () => make("li", "", make("span", "many"), make("p", "", make("b"), " ", make("span", "reason"))),
  (element, each) => {
    const [many, told] = element.children;
    write(many, words.count(each.count));
    write(told.firstElementChild, each.collection);
    write(told.lastElementChild, `${KINDS[each.kind] ?? each.kind}${each.dead_letters ? ", kept as dead letter" : ""}`);
  },
);
const KINDS = {
  missing: "missing: a document without its row",
  unexpected: "unexpected: a row without its document",
  different: "different: other contents",
};

function showReconciliation(status) {
  const { last_reconciliation: last, reconciliation_attempt: attempt } = status;
  const isRunning = attempt !== null && attempt.error === null;
  by("reconciliation-empty").hidden = last !== null;
  write(by("reconciliation-empty"), isRunning ? "The first comparison is running." : "Both sides have not been compared yet.");
  const found = [];
  if (last) {
    found.push(["Result", resultOf(last)]);
    found.push(["Compared", `${words.ago(last.at, now)}, ${words.moment(last.at, now)}`, words.exact(last.at)]);
    if (last.collections) found.push(["Collections", `${words.count(last.compared)} of ${words.count(last.collections)}`]);
    found.push(["Documents", words.count(last.documents)]);
    found.push(["Differences found", words.count(last.differences)]);
    if (last.differences) found.push(["Repaired", words.count(last.repaired)]);
  }
  if (last && isRunning) found.push(["Running", `since ${words.moment(attempt.started_at, now)}`, words.exact(attempt.started_at)]);
  facts(by("reconciliation"), found);
  outstandingRows.show(last?.outstanding_by_kind ?? [], (each) => JSON.stringify([each.collection, each.kind, each.dead_letters]));
  const commands = by("reconciliation-commands");
  // No repair writes dead letters: their cause has to go first.
  const letters = (last?.outstanding_by_kind ?? []).reduce((sum, each) => sum + (each.dead_letters ? each.count : 0), 0);
  const told = !last ? "replicator reconcile" : last.outstanding > letters ? "replicator reconcile --repair" : "";
  commands.hidden = !told;
  if (commands.querySelector("code")?.textContent !== told) commands.replaceChildren(command(told));
}

function resultOf(last) {
  if (last.outstanding) return `${words.noun(last.outstanding, "document differs", "documents differ")}`;
  if (last.compared < last.collections) return "equal, as far as it was compared";
  return last.differences ? "equal, after repair" : "equal, document by document";
}

const martRows = new Rows(
  by("marts"),
  () => make("li", "", make("h3"), make("span", "when"), make("p"), make("p", "warned")),
  (element, each) => {
    const [name, when, told, warned] = element.children;
    write(name, `mart.${each.name}`);
    write(when, words.ago(each.loaded_at, now), `loaded ${words.exact(each.loaded_at)}`);
    const source = each.source_time ? `, of MongoDB at ${words.moment(each.source_time, now)}` : "";
    write(told, `${words.noun(each.rows, "row", "rows")}, ${changesOf(each)}; as of ${words.moment(each.as_of, now)}${source}`, words.exact(each.as_of));
    warned.hidden = !each.warnings.length;
    const shown = each.warnings.slice(0, 3).join("; ");
    const others = each.warnings.length > 3 ? `; and ${each.warnings.length - 3} more` : "";
    write(warned, `${words.noun(each.warnings.length, "warning", "warnings")}: ${shown}${others}`, each.warnings.join("\n"));
  },
);

function changesOf(each) {
  const told = [
    [each.inserted, "new"],
    [each.versioned, "with a new version"],
    [each.overwritten, "overwritten"],
    [each.closed, "closed"],
  ];
  return told.filter(([many]) => many).map(([many, what]) => `${words.count(many)} ${what}`).join(", ") || "nothing changed";
}

function showMarts(status) {
  const found = Object.entries(status.marts).map(([name, each]) => ({ name, ...each }));
  martRows.show(found, (each) => each.name);
  by("marts-empty").hidden = found.length > 0;
  write(by("marts-empty"), "No mart has been loaded, or this user may not read mart.load_run.");
}

function showInstance(status) {
  const found = [["Role", status.role ?? words.UNKNOWN], ["Guarantee", status.guarantee]];
  if (status.leader) {
    const where = status.leader.address ? ` at ${status.leader.address}` : "";
    found.push(["Lease", `session ${status.leader.pid}${where}, since ${words.moment(status.leader.since, now)}`, words.exact(status.leader.since)]);
  } else {
    found.push(["Lease", "nobody holds it"]);
  }
  found.push(["Checkpoint", words.moment(status.cluster_wall_time, now), words.exact(status.cluster_wall_time)]);
  found.push(["MongoDB", serverOf(status.servers.mongodb)], ["PostgreSQL", serverOf(status.servers.postgresql)]);
  found.push(["Events since its start", words.count(status.events_total)], ["Rows written", words.count(status.rows_applied_total)]);
  facts(by("instance"), found);
  write(by("version"), `version ${status.version}`);
  write(by("zone"), `times: ${words.zone(now)}`, "The tooltip of a time has it in UTC.");
  link(by("runbooks"), status.links.runbooks);
  link(by("airflow"), status.links.airflow);
}

function serverOf(server) {
  if (server.problem) return server.problem;
  if (server.seen_seconds_ago === null) return "not asked yet";
  return server.seen_seconds_ago < 5 ? "answers" : `silent for ${words.spelled(server.seen_seconds_ago)}`;
}

// ---- charts ----------------------------------------------------------------------------------------------------

const suffixed = (unit) => (value) => (value === null ? words.UNKNOWN : `${words.rate(value)}${unit}`);
const charts = [
  new Chart(by("chart-lag"), {
    title: "Lag",
    least: 5,
    axis: (value) => (value < 120 ? `${words.rate(value)} s` : words.spelled(value)),
    series: [{ key: "lag_seconds", label: "lag", kind: "first", format: (value) => (value === null ? "unknown" : value < 1 ? "< 1 s" : words.spelled(value)) }],
  }),
  new Chart(by("chart-throughput"), {
    title: "Throughput",
    least: 10,
    axis: words.rate,
    series: [
      { key: "events_per_second", label: "changes", kind: "first", format: suffixed(" changes/s") },
      { key: "rows_per_second", label: "rows", kind: "second", format: suffixed(" rows/s") },
    ],
  }),
  new Chart(by("chart-commit"), {
    title: "Slowest commit",
    least: 20,
    height: 84,
    axis: words.instant,
    series: [{ key: "commit_ms", label: "commit", kind: "first", format: words.instant }],
  }),
  new Chart(by("chart-memory"), {
    title: "Memory",
    least: 100,
    height: 84,
    axis: words.memory,
    series: [{ key: "memory_mib", label: "memory", kind: "first", format: words.memory }],
  }),
  new Chart(by("chart-letters"), {
    title: "Dead letters",
    least: 10,
    height: 84,
    axis: words.rate,
    series: [{ key: "dead_letters", label: "dead letters", kind: "first", format: words.count }],
  }),
];

/** The samples that the service has told so far: a page that stays open asks for the new ones only. */
const recorded = { began: null, next: 0, at: [], series: {} };

function remember(history) {
  const isAnother = history.began !== recorded.began;
  if (isAnother && history.first > 0 && recorded.next > 0) {
    // Another process answers, and these are only its latest samples: ask for all of them the next time.
    recorded.next = 0;
    return;
  }
  if (isAnother || history.first !== recorded.next) Object.assign(recorded, { at: [], series: {} });
  recorded.began = history.began;
  recorded.next = history.next;
  for (const [key, values] of Object.entries(history.series)) {
    const known = key === "at" ? recorded.at : (recorded.series[key] ??= []);
    known.push(...values);
    if (known.length > history.seconds) known.splice(0, known.length - history.seconds);
  }
  for (const chart of charts) chart.show(recorded);
}

// ---- asking ----------------------------------------------------------------------------------------------------

let heardAt = 0;

async function ask(path) {
  const answer = await fetch(path, { cache: "no-store", signal: AbortSignal.timeout(PATIENCE_MS) });
  if (!answer.ok) throw new Error(`answer ${answer.status}`);
  return answer.json();
}

async function look() {
  const [status, history] = await Promise.all([ask("status"), ask(`history?since=${recorded.next}`)]);
  heardAt = Date.now();
  now = Date.parse(status.time);
  latest = status;
  showState(status);
  noticeRows.show(status.notices, (each) => JSON.stringify([each.subject, each.severity, each.hint]));
  showFigures(status);
  showCollections(status);
  showLetters(status);
  showSchema(status);
  showReconciliation(status);
  showMarts(status);
  showInstance(status);
  remember(history);
}

function showPulse(isHeard) {
  const silence = by("silence");
  document.body.classList.toggle("silent", !isHeard);
  silence.hidden = isHeard;
  if (isHeard) {
    write(by("pulse"), `live · ${words.moment(latest.time, now)}`);
    return;
  }
  write(by("pulse"), "no answer");
  document.title = `no answer · ${latest?.stream ?? "replicator"}`;
  const since = heardAt ? `What you see is from ${words.moment(new Date(heardAt).toISOString(), Date.now())}.` : "It has not answered yet.";
  write(silence, `The service does not answer. ${since} This page keeps asking.`);
}

async function go() {
  for (;;) {
    try {
      if (!document.hidden || !heardAt) {
        await look();
        showPulse(true);
      }
    } catch (error) {
      if (error instanceof TypeError || error instanceof DOMException || error instanceof SyntaxError || /^answer /.test(error.message)) showPulse(false);
      else throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, EVERY_MS));
  }
}

by("filter").addEventListener("input", () => showCollections(latest));
go();
