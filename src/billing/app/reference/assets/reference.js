// What the page can do with a script, and does without one less comfortably: find, copy, show where one is, dark and light.
"use strict";

(() => {
  const root = document.documentElement;
  const byId = (id) => document.getElementById(id);
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  root.classList.add("scripted");

  const stored = (value) => {
    try {
      if (value === undefined) return localStorage.getItem("reference-theme");
      localStorage.setItem("reference-theme", value);
    } catch {
      // A browser that keeps nothing shows what the system prefers.
    }
    return null;
  };

  const isDark = () =>
    root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;

  const showTheme = (button) => {
    button.textContent = isDark() ? "Light" : "Dark";
  };

  if (["light", "dark"].includes(stored())) root.dataset.theme = stored();

  const themes = () => {
    const button = byId("theme");
    button.hidden = false;
    showTheme(button);
    button.addEventListener("click", () => {
      root.dataset.theme = isDark() ? "light" : "dark";
      stored(root.dataset.theme);
      showTheme(button);
    });
  };

  const menu = () => {
    const button = byId("menu");
    const navigation = byId("navigation");
    const set = (isOpen) => {
      navigation.classList.toggle("open", isOpen);
      button.setAttribute("aria-expanded", String(isOpen));
    };
    button.hidden = false;
    button.addEventListener("click", () => set(!navigation.classList.contains("open")));
    navigation.addEventListener("click", (event) => {
      if (event.target.closest("a")) set(false);
    });
  };

  const search = () => {
    const field = byId("search");
    byId("search-box").hidden = false;
    const find = () => {
      const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
      const fits = (one) => words.every((word) => one.dataset.words.includes(word));
      const entries = all("nav li[data-words]");
      for (const entry of entries) entry.hidden = !fits(entry);
      for (const group of all("nav > ul > li")) group.hidden = !all("li[data-words]", group).some((one) => !one.hidden);
      byId("nothing").hidden = entries.some((one) => !one.hidden);
    };
    field.addEventListener("input", find);
    field.addEventListener("keydown", (event) => {
      const first = all("nav li[data-words]").find((one) => !one.hidden);
      if (event.key === "Enter" && first) first.querySelector("a").click();
      if (event.key === "Escape") {
        field.value = "";
        find();
      }
    });
    document.addEventListener("keydown", (event) => {
      if (event.key === "/" && !/INPUT|TEXTAREA/.test(document.activeElement.tagName)) {
        event.preventDefault();
        field.focus();
      }
    });
  };

  const copying = () => {
    if (!navigator.clipboard) return;
    for (const button of all(".copy")) {
      button.hidden = false;
      button.addEventListener("click", async () => {
        await navigator.clipboard.writeText(button.closest("figure").querySelector("code").textContent);
        button.textContent = "Copied";
        setTimeout(() => (button.textContent = "Copy"), 1500);
      });
    }
  };

  const whereabouts = () => {
    const links = new Map(all("nav a").map((link) => [link.hash.slice(1), link]));
    const seen = new Set();
    const observer = new IntersectionObserver(
      (changes) => {
        for (const { target, isIntersecting } of changes) isIntersecting ? seen.add(target) : seen.delete(target);
        const current = all(".operation").find((one) => seen.has(one));
        if (!current) return;
        for (const link of links.values()) link.removeAttribute("aria-current");
        links.get(current.id)?.setAttribute("aria-current", "true");
      },
      { rootMargin: "-60px 0px -55% 0px" },
    );
    for (const one of all(".operation")) observer.observe(one);
  };

  const addresses = () => {
    if (!location.protocol.startsWith("http")) return;
    for (const one of all(".origin")) one.textContent = location.origin;
  };

  document.addEventListener("DOMContentLoaded", () => {
    for (const part of [themes, menu, search, copying, whereabouts, addresses]) part();
  });
})();
