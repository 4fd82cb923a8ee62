"""Where django-helpdesk's pages are: its mails link to them."""

from django.urls import include, path

urlpatterns = [path("helpdesk/", include("helpdesk.urls"))]
