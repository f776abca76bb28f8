// Copies an entry of the bibliography.
element.addEventListener("click", async (event) => {
  const button = event.target.closest(".about-copy");
  if (!button) return;
  const entry = button.parentElement.querySelector("pre");
  try {
    await navigator.clipboard.writeText(entry.textContent);
  } catch {
    const range = document.createRange();
    range.selectNodeContents(entry);
    getSelection().removeAllRanges();
    getSelection().addRange(range);
    document.execCommand("copy");
  }
  button.textContent = "Copied";
  setTimeout(() => (button.textContent = "Copy"), 1600);
});
