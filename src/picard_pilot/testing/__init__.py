"""What plug-in authors and our own tests need: faulty servers, certificates, a virtual clock, suites."""
