// Says in Prefect's UI what a login may not do. The gate puts this script into the UI's page (rights_script.py).
//
// It asks /gate/whoami with the credential that the UI has stored, shows one line at the bottom to everybody who is no
// admin, and the gate's own sentence when a request was refused (403). It changes no request to this server, and no
// answer. To everybody who is logged in it shows the page /lineage as one more item of the UI's menu.
(() => {
  "use strict";

  const STORED = "prefect-password";
  const CLOSED = "prefect-fly-rights-closed";
  const TOAST_MS = 10000;
  const UI_FIRST_MS = 400;
  const SOON_MS = 14 * 24 * 3600 * 1000;
  const MAY = {
    viewer: "a viewer: you can look at everything and change nothing.",
    operator: "an operator: you can run, cancel, pause and resume, and change nothing else.",
    admin: "an admin.",
  };
  const plainFetch = window.fetch.bind(window);
  let asked = null;
  let bar = null;
  let toast = null;

  function box(role, style) {
    const made = document.createElement("div");
    made.setAttribute("role", role);
    Object.assign(made.style, {
      position: "fixed",
      zIndex: "2147483000",
      font: "14px/1.4 system-ui, sans-serif",
      boxShadow: "0 2px 10px rgba(0, 0, 0, .3)",
      display: "flex",
      alignItems: "center",
      gap: "12px",
      boxSizing: "border-box",
      ...style,
    });
    return made;
  }

  function closing(onClick) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = "×";
    button.setAttribute("aria-label", "Close");
    Object.assign(button.style, {
      font: "18px/1 system-ui, sans-serif",
      color: "inherit",
      background: "none",
      border: "0",
      padding: "2px 6px",
      cursor: "pointer",
    });
    button.addEventListener("click", onClick);
    return button;
  }

  function text(words) {
    const made = document.createElement("span");
    made.textContent = words;
    return made;
  }

  function show(who) {
    bar?.remove();
    bar = null;
    const ends = who.expires ? new Date(who.expires) : null;
    const soon = ends !== null && ends.getTime() - Date.now() < SOON_MS;
    if ((who.rights === "admin" && !soon) || !(who.rights in MAY) || sessionStorage.getItem(CLOSED) === who.name) return;
    const until = ends ? ` Your login ends on ${ends.toLocaleString(undefined, { dateStyle: "long", timeStyle: "short" })}.` : "";
    bar = box("status", {
      left: "50%",
      bottom: "12px",
      transform: "translateX(-50%)",
      width: "max-content",
      maxWidth: "min(640px, calc(100vw - 24px))",
      padding: "6px 8px 6px 16px",
      borderRadius: "20px",
      color: "#fff",
      background: "#1d4ed8",
    });
    bar.append(text(`You are logged in as ${who.name}, ${MAY[who.rights]}${until}`), closing(() => {
      sessionStorage.setItem(CLOSED, who.name);
      bar?.remove();
    }));
    document.body.append(bar);
  }

  function say(sentence) {
    toast?.remove();
    const mine = box("alert", {
      left: "50%",
      top: "12px",
      transform: "translateX(-50%)",
      width: "max-content",
      maxWidth: "min(560px, calc(100vw - 24px))",
      padding: "12px 8px 12px 16px",
      borderRadius: "8px",
      color: "#7f1d1d",
      background: "#fef2f2",
      border: "1px solid #fca5a5",
    });
    mine.append(text(sentence), closing(() => mine.remove()));
    document.body.append(mine);
    toast = mine;
    setTimeout(() => mine.remove(), TOAST_MS);
  }

  // The item after which ours stands, in both UIs.
  const LAST_ITEM = 'a[href$="/concurrency-limits"]';
  const OURS = 'a[href="/lineage"]';
  let known = false;
  let looking = false;

  function link() {
    looking = false;
    const last = document.querySelector(LAST_ITEM);
    const there = document.querySelector(OURS);
    if (!known) there?.closest("[data-prefect-fly]")?.remove();
    if (!known || there || !last) return;
    const before = last.closest("li") ?? last;
    const made = before.cloneNode(true);
    const anchor = made.matches("a") ? made : made.querySelector("a");
    made.setAttribute("data-prefect-fly", "lineage");
    anchor.setAttribute("href", "/lineage");
    anchor.removeAttribute("aria-current");
    for (const each of [anchor, ...anchor.querySelectorAll("*")]) {
      if (each.hasAttribute("data-active")) each.setAttribute("data-active", "false");
      each.removeAttribute("data-status");
      each.classList.remove("active", "router-link-active", "router-link-exact-active", "p-context-nav-item--active");
    }
    (anchor.querySelector("span") ?? anchor).textContent = "Lineage";
    before.after(made);
  }

  // The UI draws its menu late, and anew.
  new MutationObserver(() => {
    if (!looking) setTimeout(link, 50);
    looking = true;
  }).observe(document, { childList: true, subtree: true });

  async function look() {
    const credential = localStorage.getItem(STORED);
    if (credential === asked) return;
    asked = credential;
    bar?.remove();
    known = false;
    link();
    if (!credential) return;
    const reply = await plainFetch("/gate/whoami", { headers: { Authorization: `Basic ${credential}` } });
    if (!reply.ok || localStorage.getItem(STORED) !== credential) return;
    known = true;
    link();
    show(await reply.json());
  }

  // The gate's sentence names the route as well, for those who write programs.
  const SENTENCE = /^(".*" is an? \w+ and may .*?): .* needs (an? \w+)'s rights\.$/;

  function refused(body) {
    let detail = "";
    try {
      detail = String(JSON.parse(body).detail);
    } catch {
      return; // not the gate's: the UI says what it likes
    }
    const found = SENTENCE.exec(detail);
    if (!found) return;
    // Where the UI shows the sentence by itself, once is enough.
    setTimeout(() => {
      if (!document.body.textContent.includes(detail)) say(`${found[1]}. This needs ${found[2]}'s rights.`);
    }, UI_FIRST_MS);
  }

  // Prefect's UI tells a service on another host that it was opened, whatever the settings say. The page's policy stops
  // that in any case; without this there would be an error in the console each time.
  function elsewhere([target]) {
    return new URL(target.url ?? target, location.href).origin !== location.origin;
  }

  window.fetch = async (...request) => {
    if (elsewhere(request)) throw new TypeError("Requests to other hosts are off.");
    const reply = await plainFetch(...request);
    if (reply.status === 403) reply.clone().text().then(refused, () => {});
    look().catch(() => {});
    return reply;
  };

  // The older of the two UIs asks by XMLHttpRequest.
  const send = XMLHttpRequest.prototype.send;
  XMLHttpRequest.prototype.send = function (...body) {
    this.addEventListener("load", () => {
      if (this.status === 403 && (this.responseType === "" || this.responseType === "text")) refused(this.responseText);
      look().catch(() => {});
    });
    return send.apply(this, body);
  };

  document.addEventListener("DOMContentLoaded", () => look().catch(() => {}));
  window.addEventListener("storage", () => look().catch(() => {}));
})();
