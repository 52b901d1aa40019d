// What the pages do beyond links and forms: keys, local times, confirmations, toasts, copying, progress and charts.
(() => {
  "use strict";
  const script = document.currentScript;
  const $ = (selector, root = document) => root.querySelector(selector);
  const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];
  const make = (tag, className, text) => {
    const made = document.createElement(tag);
    if (className) made.className = className;
    if (text !== undefined) made.textContent = text;
    return made;
  };
  const icon = (name) => {
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
    svg.setAttribute("class", "icon");
    svg.setAttribute("aria-hidden", "true");
    use.setAttribute("href", `${script.dataset.icons}#${name}`);
    svg.append(use);
    return svg;
  };

  // --- toasts: HX-Trigger: {"toast": {"kind": "good", "text": "Saved", "hint": "…"}}
  const MARKS = { good: "circle-check", info: "info-circle", warn: "alert-triangle", bad: "alert-circle" };
  function toast({ kind = "info", text = "", hint = "", passing = false }) {
    const shelf = $("#toasts");
    if (!shelf) return;
    const card = make("div", `toast-card tone-${kind}${passing ? " passing" : ""}`);
    const words = make("div", "toast-words");
    words.append(make("strong", "", text));
    if (hint) words.append(make("span", "", hint));
    const close = make("button", "icon-button");
    close.type = "button";
    close.setAttribute("aria-label", "Dismiss");
    close.append(icon("x"));
    close.addEventListener("click", () => card.remove());
    card.append(icon(MARKS[kind] || MARKS.info), words, close);
    shelf.append(card);
    if (kind !== "bad") setTimeout(() => card.remove(), 7000);
  }
  document.addEventListener("toast", (event) => toast(event.detail || {}));

  // --- htmx: the CSRF token goes with every request; a failed one says why
  document.addEventListener("htmx:configRequest", (event) => {
    event.detail.headers["X-CSRF-Token"] = $("meta[name=csrf]")?.content || "";
  });
  document.addEventListener("htmx:responseError", (event) => {
    const xhr = event.detail.xhr;
    let problem = {};
    if ((xhr.getResponseHeader("Content-Type") || "").includes("json")) {
      try { problem = JSON.parse(xhr.responseText); } catch { problem = {}; }
    }
    toast({ kind: "bad", text: problem.title || `That did not work (${xhr.status})`, hint: problem.hint || problem.detail || "Reload the page and try again." });
  });
  for (const kind of ["htmx:sendError", "htmx:timeout"]) {
    document.addEventListener(kind, () => toast({ kind: "bad", text: "No answer from Touchline", hint: "Check the connection and try again." }));
  }

  // --- dialogs: data-opens="id" opens one, data-closes closes its own; hx-confirm asks in #ask
  let goOn = null;
  document.addEventListener("htmx:confirm", (event) => {
    const ask = $("#ask");
    if (!event.detail.question || !ask) return;
    event.preventDefault();
    $("p", ask).textContent = event.detail.question;
    goOn = () => event.detail.issueRequest(true);
    ask.showModal();
  });
  document.addEventListener("close", (event) => {
    if (event.target.id !== "ask") return;
    if (event.target.returnValue === "yes" && goOn) goOn();
    event.target.returnValue = "";
    goOn = null;
  }, true);

  // --- copying
  async function copy(button) {
    const from = button.dataset.copyFrom && document.getElementById(button.dataset.copyFrom);
    const text = from ? (from.value ?? from.textContent) : button.dataset.copy;
    try {
      await navigator.clipboard.writeText(text);
      toast({ kind: "good", text: "Copied" });
    } catch {
      toast({ kind: "warn", text: "The browser did not allow copying", hint: "Select the text and press Ctrl+C." });
    }
  }

  document.addEventListener("click", (event) => {
    const at = event.target.closest?.("[data-opens],[data-closes],[data-copy],[data-copy-from],[data-theme-next],[data-check-all]");
    for (const menu of $$("details.menu[open]")) if (!menu.contains(event.target)) menu.open = false;
    if (!at) return;
    if (at.dataset.opens !== undefined) document.getElementById(at.dataset.opens)?.showModal();
    else if (at.dataset.closes !== undefined) at.closest("dialog")?.close();
    else if (at.dataset.themeNext !== undefined) { $$(".toast-card.passing").forEach((card) => card.remove()); toast({ text: `Theme: ${window.touchlineTheme.next()}`, passing: true }); }
    else if (at.dataset.checkAll !== undefined) {
      for (const box of $$("[data-item] input[type=checkbox]", at.closest("[data-keys],form,table"))) box.checked = at.checked;
      counted();
    } else copy(at);
  });

  // --- how many rows of a list are ticked: <span data-checked="NAME"> shows it, [data-needs-checked] waits for one
  function counted() {
    const ticked = $$("[data-item] input[type=checkbox]:checked").length;
    for (const shown of $$("[data-checked]")) shown.textContent = ticked.toLocaleString();
    for (const button of $$("[data-needs-checked]")) button.disabled = ticked === 0;
  }
  document.addEventListener("change", (event) => {
    if (event.target.type === "checkbox") counted();
    if (event.target.dataset?.submits !== undefined) event.target.form.requestSubmit();
  });

  // --- times: shown in the viewer's zone, UTC in the title
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  // The server's clock may be another one, in a rehearsal: what is "ago" counts from there.
  const told = $('meta[name="now"]');
  const ahead = told ? new Date(told.content) - Date.now() : 0;
  const now = () => Date.now() + (Math.abs(ahead) > 120000 ? ahead : 0);
  const year = new Date(now()).getFullYear();
  const relative = new Intl.RelativeTimeFormat("en", { numeric: "auto", style: "short" });
  const UNITS = [["year", 31536000], ["month", 2592000], ["day", 86400], ["hour", 3600], ["minute", 60]];
  function ago(at) {
    const seconds = (at - now()) / 1000;
    const [unit, size] = UNITS.find(([, least]) => Math.abs(seconds) >= least) || ["minute", 60];
    return Math.abs(seconds) < 45 ? "now" : relative.format(Math.round(seconds / size), unit);
  }
  function local(element) {
    const at = new Date(element.dateTime);
    if (Number.isNaN(at.getTime()) || !element.dateTime.includes("T")) return;
    const years = at.getFullYear() === year ? {} : { year: "numeric" };
    const shape = { day: "numeric", month: "short", ...years, ...(element.dataset.style === "date" ? {} : { hour: "2-digit", minute: "2-digit", hour12: false }) };
    const shown = new Intl.DateTimeFormat("en-GB", shape).format(at);
    if (element.dataset.style !== "kept") element.textContent = element.dataset.style === "ago" ? ago(at) : shown;
    element.title = `${shown} ${zone} · ${at.toISOString().slice(0, 19).replace("T", " ")} UTC`;
  }

  // --- progress: the stream sends {"done": 5, "total": 10, "text": "…"}, and at its end {"end": true, "href": "/…"}
  function follow(box) {
    const stream = new EventSource(box.dataset.progress);
    const meter = $("progress", box);
    const text = $("[data-progress-text]", box);
    const stop = () => stream.close();
    stream.onmessage = (message) => {
      if (!box.isConnected) return stop();
      const news = JSON.parse(message.data);
      if (meter && news.total) { meter.max = news.total; meter.value = news.done; }
      if (text && news.text !== undefined) text.textContent = news.text;
      if (!news.end) return undefined;
      stop();
      if (news.href) location.assign(news.href);
      else if (box.dataset.then) location.assign(box.dataset.then);
      return undefined;
    };
    stream.addEventListener("error", () => { if (text && stream.readyState === EventSource.CLOSED) text.textContent = "The progress cannot be read. Reload the page to see where it stands."; });
    addEventListener("pagehide", stop, { once: true });
  }

  // --- charts: drawn after the page has loaded; the table under each says the same without them
  let library = null;
  const charts = new Map();
  const tone = (name) => {
    const probe = make("span");
    probe.hidden = true;
    probe.style.color = `var(--${name})`;
    document.body.append(probe);
    const [r, g, b] = (() => {
      const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
      canvas.fillStyle = getComputedStyle(probe).color;
      canvas.fillRect(0, 0, 1, 1);
      return canvas.getImageData(0, 0, 1, 1).data;
    })();
    probe.remove();
    return `rgb(${r},${g},${b})`;
  };
  function load() {
    library ||= new Promise((done, failed) => {
      const tag = document.createElement("script");
      tag.src = script.dataset.echarts;
      tag.onload = () => done(window.echarts);
      tag.onerror = failed;
      document.head.append(tag);
    });
    return library;
  }
  function options(spec) {
    const meant = { drop: "line-strong" };
    const colors = [1, 2, 3, 4, 5, 6].map((n) => tone(spec.series[n - 1]?.tone ? meant[spec.series[n - 1].tone] || `${spec.series[n - 1].tone}-fill` : `chart-${n}`));
    const [ink, line, surface] = [tone("ink-soft"), tone("line"), tone("surface")];
    const stripes = { color: surface, dashArrayX: [1, 0], dashArrayY: [2, 4], rotation: -Math.PI / 4 };
    const stacked = spec.kind === "stacked";
    const kind = spec.kind === "line" || spec.kind === "area" ? "line" : "bar";
    const words = { color: ink, fontFamily: "Inter Variable, sans-serif", fontSize: 11 };
    const thin = (n) => Intl.NumberFormat("en", { notation: "compact" }).format(n);
    return {
      color: colors, animationDuration: matchMedia("(prefers-reduced-motion: reduce)").matches ? 0 : 300,
      textStyle: words, aria: { enabled: false }, tooltip: { renderMode: "richText" },
      grid: { left: 4, right: 12, top: 12, bottom: 2, containLabel: true },
      xAxis: { type: "category", data: spec.labels, boundaryGap: kind === "bar", axisTick: { show: false }, axisLine: { lineStyle: { color: line } }, axisLabel: { ...words, hideOverlap: true } },
      yAxis: { type: "value", minInterval: 1, splitNumber: 4, axisLabel: { ...words, formatter: thin }, splitLine: { lineStyle: { color: line } } },
      series: spec.series.map(({ name, values, tone: kept }, at) => ({
        name, data: values, type: kind, stack: stacked ? "all" : undefined, barMaxWidth: 22, barCategoryGap: "35%",
        itemStyle: { ...(kind === "bar" && !stacked ? { borderRadius: [3, 3, 0, 0] } : {}), ...(kept === "bad" ? { decal: stripes } : {}) }, emphasis: { focus: "none" },
        showSymbol: spec.labels.length < 2, symbolSize: 5, lineStyle: { width: 2, type: ["solid", "dashed", "dotted"][at % 3] }, areaStyle: spec.kind === "area" ? { opacity: 0.1 } : undefined,
      })),
    };
  }
  function read(figure, chart, spec) {
    const marks = $$("[data-series]", figure);
    const cursor = make("div", "chart-cursor");
    const where = $(".chart-where", figure);
    cursor.hidden = true;
    $(".chart-canvas", figure).append(cursor);
    const clear = () => { cursor.hidden = true; if (where) where.textContent = ""; marks.forEach((mark) => { mark.textContent = ""; }); };
    chart.getZr().on("mousemove", ({ offsetX, offsetY }) => {
      if (!chart.containPixel("grid", [offsetX, offsetY])) return clear();
      const at = chart.convertFromPixel({ xAxisIndex: 0 }, offsetX);
      if (spec.labels[at] === undefined) return clear();
      cursor.hidden = false;
      cursor.style.left = `${chart.convertToPixel({ xAxisIndex: 0 }, at)}px`;
      if (where) where.textContent = spec.labels[at];
      marks.forEach((mark, n) => { mark.textContent = (spec.series[n]?.values[at] ?? "–").toLocaleString(); });
      return undefined;
    });
    chart.getZr().on("globalout", clear);
  }
  async function draw(figure) {
    const spec = JSON.parse(figure.dataset.chart);
    const echarts = await load();
    const canvas = $(".chart-canvas", figure);
    if (!canvas.isConnected || charts.has(figure)) return;
    const chart = echarts.init(canvas, null, { renderer: "canvas" });
    charts.set(figure, [chart, spec]);
    chart.setOption(options(spec));
    read(figure, chart, spec);
    new ResizeObserver(() => { figure.isConnected ? chart.resize() : (chart.dispose(), charts.delete(figure)); }).observe(canvas);
  }
  document.addEventListener("theme", () => { for (const [chart, spec] of charts.values()) chart.setOption(options(spec)); });

  // --- keys
  let went = 0;
  const typing = (target) => target.closest?.("input:not([type=checkbox],[type=radio]),textarea,select,[contenteditable]");
  const items = (list) => $$("[data-item]", list).filter((item) => item.offsetParent);
  function current() {
    const list = document.activeElement?.closest?.("[data-keys]") || $("[data-keys]");
    const shown = list ? items(list) : [];
    return { list, shown, at: shown.findIndex((item) => item === document.activeElement || item.contains(document.activeElement)) };
  }
  function move(by) {
    const { shown, at } = current();
    const next = shown[Math.min(Math.max(at + by, 0), shown.length - 1)];
    if (!next) return;
    if (!next.hasAttribute("tabindex")) next.tabIndex = -1;
    next.focus();
    next.scrollIntoView({ block: "nearest" });
  }
  function act(key) {
    const { list, shown, at } = current();
    if (!list) return false;
    const item = shown[at] || (shown.length === 1 ? shown[0] : null);
    if (item && key === "x") { $("input[type=checkbox]", item)?.click(); return true; }
    const target = item && (key === "Enter" ? $("[data-key=Enter],a[href]", item) : $(`[data-key="${CSS.escape(key)}"]`, item));
    target?.click();
    return Boolean(target);
  }
  document.addEventListener("keydown", (event) => {
    const open = $("details.menu[open]");
    if (event.key === "Escape" && open) { open.open = false; $("summary", open).focus(); }
    if (event.key === "Escape" && !open && !$("dialog[open]")) $$(".toast-card").forEach((card) => card.remove());
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    if (typing(event.target) || $("dialog[open]")) return;
    const key = event.key;
    const going = event.timeStamp - went < 1500 && went;
    went = 0;
    let done = true;
    if (going && /^[a-z]$/.test(key)) {
      const link = $(`a[data-go="${key}"]`);
      if (link) link.click(); else done = false;
    } else if (key === "g") went = event.timeStamp;
    else if (key === "?") $("#keys")?.showModal();
    else if (key === "/") { const filter = $("[data-filter]"); if (filter) { filter.focus(); filter.select?.(); } else done = false; }
    else if (key === "j" || key === "k") move(key === "j" ? 1 : -1);
    else if (key === "Enter" && !event.target.matches("[data-item]")) done = false;
    else if (/^[a-z]$/.test(key) || key === "Enter") done = act(key);
    else done = false;
    if (done) event.preventDefault();
  });

  // --- whatever arrives, with the page or by htmx
  function dress(root) {
    const within = (selector) => (root.matches?.(selector) ? [root, ...$$(selector, root)] : $$(selector, root));
    within("time[datetime]").forEach(local);
    within("[data-progress]").forEach(follow);
    within("figure[data-chart]").forEach((figure) => draw(figure).catch(() => figure.classList.add("chart-failed")));
  }
  document.addEventListener("htmx:load", (event) => { if (event.detail.elt !== document.body) dress(event.detail.elt); counted(); });
  const start = () => { dress(document.body); counted(); };
  document.readyState === "complete" ? start() : addEventListener("load", start);
  setInterval(() => $$("time[data-style=ago]").forEach(local), 60000);
})();
