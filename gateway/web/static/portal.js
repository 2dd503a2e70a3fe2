// What makes the pages better; each of them works without.
"use strict";

(() => {
  const POLL_MS = 4000;
  const MONTH_MS = 15000; // the month takes most to count
  const QUIET_MS = 15 * 60 * 1000; // a page nobody looks after must not keep its session alive
  const MINUTE = 60;
  const HOUR = 60 * MINUTE;
  const DAY = 24 * HOUR;

  const all = (selector, root = document) => root.querySelectorAll(selector);

  // Times: in the reader's own time zone, and growing old.
  const long = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
  const short = new Intl.DateTimeFormat(undefined, {
    day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", second: "2-digit",
  });

  function counted(number, noun) {
    return `${number} ${noun}${number === 1 ? "" : "s"}`;
  }

  function ago(seconds) {
    if (seconds < MINUTE) return "just now";
    if (seconds < HOUR) return `${counted(Math.floor(seconds / MINUTE), "minute")} ago`;
    if (seconds < DAY) return `${counted(Math.floor(seconds / HOUR), "hour")} ago`;
    return `${counted(Math.floor(seconds / DAY), "day")} ago`;
  }

  function left(seconds) {
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
        ? `${time.dataset.countdown} ${left(seconds)}`
        : time.dataset.over;
    }
  }

  // Copying.
  function enliven(root) {
    localize(root);
    tick(root);
    for (const button of all("button[data-copy]", root)) {
      button.hidden = false;
      const words = button.innerHTML;
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
        setTimeout(() => { button.innerHTML = words; }, 2000);
      });
    }
    for (const field of all("input[readonly]", root)) {
      field.addEventListener("focus", () => field.select());
    }
  }

  // A form that makes something sends itself once.
  for (const form of all("form[data-once]")) {
    form.addEventListener("submit", () => {
      for (const button of all("button", form)) button.disabled = true;
    });
  }

  // A sign-in link: its token comes behind the #, which is sent to nobody.
  const linkForm = document.querySelector("form[data-link-form]");
  function followLink() {
    if (location.hash.length < 2) return;
    linkForm.elements.token.value = location.hash.slice(1);
    history.replaceState(null, "", location.pathname);
    linkForm.requestSubmit();
  }
  if (linkForm) {
    followLink();
    window.addEventListener("hashchange", followLink); // a link pasted where the page is open
  }

  // What was done is told once.
  if (new URLSearchParams(location.search).has("done")) {
    history.replaceState(null, "", location.pathname);
  }

  const headers = { "X-Requested-With": "script" };

  async function fetched(address, asker) {
    const response = await fetch(address, {
      headers: { ...headers, "X-Requested-With": asker }, credentials: "same-origin",
    });
    if (response.status === 401) location.reload();
    if (!response.ok) throw new Error(String(response.status));
    return new DOMParser().parseFromString(await response.text(), "text/html");
  }

  // An entry beside the list, rather than instead of it.
  const drawer = document.querySelector("dialog[data-drawer-dialog]");
  if (drawer && drawer.showModal) {
    document.addEventListener("click", async (event) => {
      const link = event.target.closest("a[data-drawer]");
      if (!link || event.button || event.metaKey || event.ctrlKey || event.shiftKey) return;
      event.preventDefault();
      try {
        const page = await fetched(link.href, "drawer");
        const bar = document.createElement("div");
        bar.className = "drawer-bar";
        const whole = document.createElement("a");
        whole.href = link.href;
        whole.textContent = "Open as a page";
        const close = document.createElement("button");
        close.type = "button";
        close.className = "small";
        close.textContent = "Close";
        close.addEventListener("click", () => drawer.close());
        bar.append(whole, close);
        const inner = document.createElement("div");
        inner.className = "drawer-in";
        inner.append(...page.body.childNodes);
        drawer.replaceChildren(bar, inner);
        enliven(drawer);
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

  // The log, live.
  const log = document.querySelector("[data-live]");
  if (log && log.dataset.live) {
    const rows = log.querySelector("[data-rows]");
    const state = log.querySelector("[data-live-state]");
    const button = log.querySelector("[data-live-switch]");
    const said = log.querySelector("[data-live-said]");
    const limit = Number(log.dataset.pageSize);
    let on = true;
    let moved = Date.now();
    let monthAt = 0;

    for (const event of ["pointermove", "keydown", "scroll"]) {
      addEventListener(event, () => { moved = Date.now(); }, { passive: true });
    }

    function show(text) {
      state.hidden = false;
      button.hidden = false;
      log.querySelector("[data-live-refresh]").hidden = on;
      state.classList.toggle("on", on && !text);
      state.textContent = text || (on ? "Live" : "Paused");
      button.textContent = on ? "Pause" : "Go on";
    }

    // What was fetched last of each part; a part in use is left alone until the next time.
    const seen = new Map();
    function renew(part, newer) {
      const name = part.dataset.part;
      const words = newer.outerHTML;
      if (seen.get(name) === words || part.contains(document.activeElement)) return;
      seen.set(name, words);
      part.className = newer.className;
      part.replaceChildren(...newer.childNodes);
      localize(part);
      tick(part);
    }

    function take(page) {
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
      if (fresh.length) said.textContent = `${counted(fresh.length, "new entry").replace("entrys", "entries")}`;
      for (const part of all("[data-part]")) {
        const newer = page.querySelector(`[data-part="${part.dataset.part}"]`);
        if (newer) renew(part, newer);
      }
    }

    async function poll() {
      if (on && !document.hidden) {
        if (Date.now() - moved > QUIET_MS) {
          on = false;
          show("");
        } else {
          try {
            const address = new URL(log.dataset.live, location.href);
            if (Date.now() - monthAt > MONTH_MS) {
              monthAt = Date.now();
              address.searchParams.set("month", "1");
            }
            take(await fetched(address, "live"));
            if (on) show("");
          } catch {
            if (on) show("Not reachable, trying again");
          }
        }
      }
      setTimeout(poll, POLL_MS);
    }

    button.addEventListener("click", () => {
      on = !on;
      moved = Date.now();
      show("");
    });
    show("");
    setTimeout(poll, POLL_MS);
  }

  enliven(document);
  setInterval(tick, 15000);
})();
