// Progressive enhancement: every page also works without this script.
"use strict";

(() => {
  const POLL_MS = 4000;
  const QUIET_MS = 15 * 60 * 1000; // polling stops, so that an unattended page does not keep its session alive
  const MINUTE = 60;
  const HOUR = 60 * MINUTE;
  const DAY = 24 * HOUR;

  const all = (selector, root = document) => root.querySelectorAll(selector);

  // Times: shown in the user's time zone, relative times updated.
  const long = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
  const short = new Intl.DateTimeFormat(undefined, {
    day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", second: "2-digit",
  });

  function pluralize(number, noun) {
    return `${number} ${noun}${number === 1 ? "" : "s"}`;
  }

  function ago(seconds) {
    if (seconds < MINUTE) return "just now";
    if (seconds < HOUR) return `${pluralize(Math.floor(seconds / MINUTE), "minute")} ago`;
    if (seconds < DAY) return `${pluralize(Math.floor(seconds / HOUR), "hour")} ago`;
    return `${pluralize(Math.floor(seconds / DAY), "day")} ago`;
  }

  function remaining(seconds) {
    if (seconds < MINUTE) return `${seconds} s`;
    const minutes = Math.floor((seconds % HOUR) / MINUTE);
    if (seconds < HOUR) return `${minutes} min`;
    const hours = Math.floor(seconds / HOUR);
    return minutes ? `${hours} h ${minutes} min` : `${hours} h`;
  }

  function localize(root) {
    for (const time of all("time[data-local]", root)) {
      const format = time.dataset.local === "short" ? short : long;
      time.textContent = format.format(new Date(time.dateTime));
    }
  }

  function tick(root = document) {
    const now = Date.now();
    for (const time of all("time[data-ago]", root)) {
      time.textContent = ago(Math.floor((now - Date.parse(time.dateTime)) / 1000));
    }
    for (const time of all("time[data-countdown]", root)) {
      const seconds = Math.floor((Date.parse(time.dateTime) - now) / 1000);
      time.textContent = seconds > 0
        ? `${time.dataset.countdown} ${remaining(seconds)}`
        : time.dataset.over;
    }
  }

  // Copy buttons, and times in parts that are added later.
  function enhance(root) {
    localize(root);
    tick(root);
    for (const button of all("button[data-copy]", root)) {
      button.hidden = false;
      const html = button.innerHTML;
      button.addEventListener("click", async () => {
        const field = document.getElementById(button.dataset.copy);
        try {
          await navigator.clipboard.writeText(field.value);
        } catch {
          field.focus();
          field.select();
          document.execCommand("copy");
        }
        button.textContent = "Copied";
        setTimeout(() => { button.innerHTML = html; }, 2000);
      });
    }
    for (const field of all("input[readonly]", root)) {
      field.addEventListener("focus", () => field.select());
    }
  }

  // Disable the buttons of a form that must be submitted only once.
  for (const form of all("form[data-once]")) {
    form.addEventListener("submit", () => {
      for (const button of all("button", form)) button.disabled = true;
    });
  }

  // A sign-in link has its token in the fragment, which browsers do not send.
  const linkForm = document.querySelector("form[data-link-form]");
  function submitLink() {
    if (location.hash.length < 2) return;
    linkForm.elements.token.value = location.hash.slice(1);
    history.replaceState(null, "", location.pathname);
    linkForm.requestSubmit();
  }
  if (linkForm) {
    submitLink();
    window.addEventListener("hashchange", submitLink); // a link pasted while the page is open
  }

  // Remove ?done=, so that a reload does not show the notice again.
  if (new URLSearchParams(location.search).has("done")) {
    history.replaceState(null, "", location.pathname);
  }

  async function request(address, requester, more = {}) {
    const response = await fetch(address, {
      headers: { "X-Requested-With": requester, ...more }, credentials: "same-origin",
    });
    if (response.status === 401) location.reload();
    if (!response.ok && response.status !== 304) throw new Error(String(response.status));
    return response;
  }

  async function parse(response) {
    return new DOMParser().parseFromString(await response.text(), "text/html");
  }

  // Show a log entry in a drawer beside the list.
  const drawer = document.querySelector("dialog[data-drawer-dialog]");
  if (drawer && drawer.showModal) {
    document.addEventListener("click", async (event) => {
      const link = event.target.closest("a[data-drawer]");
      if (!link || event.button || event.metaKey || event.ctrlKey || event.shiftKey) return;
      event.preventDefault();
      try {
        const page = await parse(await request(link.href, "drawer"));
        const bar = document.createElement("div");
        bar.className = "drawer-bar";
        const pageLink = document.createElement("a");
        pageLink.href = link.href;
        pageLink.textContent = "Open as page";
        const close = document.createElement("button");
        close.type = "button";
        close.className = "small";
        close.textContent = "Close";
        close.addEventListener("click", () => drawer.close());
        bar.append(pageLink, close);
        const inner = document.createElement("div");
        inner.className = "drawer-in";
        inner.append(...page.body.childNodes);
        drawer.replaceChildren(bar, inner);
        enhance(drawer);
        drawer.showModal();
        close.focus();
      } catch {
        location.assign(link.href);
      }
    });
    drawer.addEventListener("click", (event) => {
      if (event.target === drawer) drawer.close();
    });
  }

  // Live updates of the log.
  const log = document.querySelector("[data-live]");
  if (log && log.dataset.live) {
    const rows = log.querySelector("[data-rows]");
    const state = log.querySelector("[data-live-state]");
    const button = log.querySelector("[data-live-switch]");
    const announcement = log.querySelector("[data-live-announcement]");
    const limit = Number(log.dataset.pageSize);
    let live = true;
    let lastActivity = Date.now();
    let tag = ""; // the ETag of the last update

    for (const event of ["pointermove", "keydown", "scroll"]) {
      addEventListener(event, () => { lastActivity = Date.now(); }, { passive: true });
    }

    function showState(text) {
      state.hidden = false;
      button.hidden = false;
      log.querySelector("[data-live-refresh]").hidden = live;
      state.classList.toggle("on", live && !text);
      state.textContent = text || (live ? "Live" : "Paused");
      button.textContent = live ? "Pause" : "Resume";
    }

    // The last HTML of each part. A part that has the focus is updated by a later poll.
    const seen = new Map();
    function replacePart(part, newer) {
      const name = part.dataset.part;
      const html = newer.outerHTML;
      if (seen.get(name) === html) return;
      if (part.contains(document.activeElement)) {
        tag = ""; // the next poll must bring this part again
        return;
      }
      seen.set(name, html);
      part.className = newer.className;
      part.replaceChildren(...newer.childNodes);
      localize(part);
      tick(part);
    }

    function applyUpdate(page) {
      const known = new Set(Array.from(all("[data-entry]", rows), (row) => row.dataset.entry));
      const fresh = Array.from(all("[data-entry]", page)).filter(
        (row) => !known.has(row.dataset.entry),
      );
      for (const row of fresh) row.classList.add("fresh");
      rows.prepend(...fresh);
      while (rows.children.length > limit && rows.children.length > fresh.length) {
        rows.lastElementChild.remove();
      }
      localize(rows);
      if (rows.children.length) log.querySelector("[data-empty]").hidden = true;
      if (fresh.length) announcement.textContent = `${pluralize(fresh.length, "new entry").replace("entrys", "entries")}`;
      for (const part of all("[data-part]")) {
        const newer = page.querySelector(`[data-part="${part.dataset.part}"]`);
        if (newer) replacePart(part, newer);
      }
    }

    async function poll() {
      if (live && !document.hidden) {
        if (Date.now() - lastActivity > QUIET_MS) {
          live = false;
          showState("");
        } else {
          try {
            const newer = tag ? { "If-None-Match": tag } : {};
            const response = await request(log.dataset.live, "live", newer);
            if (response.status !== 304) {
              tag = response.headers.get("ETag") || "";
              applyUpdate(await parse(response));
            }
            if (live) showState("");
          } catch {
            if (live) showState("Connection lost. Retrying…");
          }
        }
      }
      setTimeout(poll, POLL_MS);
    }

    button.addEventListener("click", () => {
      live = !live;
      lastActivity = Date.now();
      showState("");
    });
    showState("");
    setTimeout(poll, POLL_MS);
  }

  enhance(document);
  setInterval(tick, 15000);
})();
