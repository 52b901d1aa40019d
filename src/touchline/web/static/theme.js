// Sets the theme before the first paint: the viewer's choice, or else what the system prefers.
(() => {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const chosen = () => { try { return localStorage.getItem("theme"); } catch { return null; } };
  const apply = () => {
    const theme = chosen() || (dark.matches ? "dark" : "light");
    document.documentElement.setAttribute("data-bs-theme", theme);
    document.documentElement.setAttribute("data-theme-choice", chosen() || "system");
    document.dispatchEvent(new CustomEvent("theme", { detail: theme }));
  };
  dark.addEventListener("change", apply);
  document.documentElement.classList.add("js");
  window.touchlineTheme = {
    next() {
      const order = ["system", "light", "dark"];
      const to = order[(order.indexOf(chosen() || "system") + 1) % 3];
      try { to === "system" ? localStorage.removeItem("theme") : localStorage.setItem("theme", to); } catch { /* private mode: this page only */ }
      apply();
      return to;
    },
  };
  apply();
})();
